// The syntax and the meaning of --iface-regex are those of Go's package regexp, which flannel compiles it with. Each
// row was checked with Go.
import { describe, expect, it } from 'vitest';
import { parseInterfaceRegex } from '../../agent/options/interface-regex.ts';

describe('a regular expression for interfaces', () => {
  it.each([
    ['^eth[0-9]$', 'eth1', 'veth1'],
    ['eth0|eth1', 'eth1', 'eth2'],
    ['192\\.168\\.77\\.', '192.168.77.1', '192.168.7.71'],
    ['\\Aeth', 'eth0', 'veth0'],
    ['eth0\\z', 'veth0', 'eth0\n'],
    ['\\Qeth.0\\E', 'veth.0', 'eth00'],
    ['\\Q.', 'a.b', 'ab'],
    ['^[\\w-.]+$', 'br-lan.0', 'br lan'],
    ['^[a-]$', '-', 'b'],
    ['^[]a]$', ']', '['],
    ['(?s)eth.0', 'eth\n0', 'eth0'],
    ['eth.0', 'eth10', 'eth\n0'],
    ['(?i)^ETH0$', 'eth0', 'eth1'],
    ['^e(?i:TH)0$', 'eTh0', 'Eth0'],
    ['(?m)^eth0$', 'a\neth0\nb', 'veth0'],
    ['^eth0$', 'eth0', 'a\neth0'],
    ['(?U)^e.*?0$', 'eth0', 'eth1'],
    ['^\\pL+$', 'éth', 'eth0'],
    ['^\\p{Greek}+$', 'λ', 'l'],
    ['^\\PN+$', 'eth', 'eth0'],
    ['^(?P<kind>en)p', 'enp0s3', 'eth0'],
    ['^(?<kind>en)p', 'enp0s3', 'eth0'],
    ['^eth[[:digit:]]+$', 'eth10', 'ethx'],
    ['^[^[:alpha:]]', '10.0.0.1', 'eth0'],
    ['^[[:^digit:]]+$', 'eth', 'eth0'],
    ['^br\\-lan$', 'br-lan', 'brlan'],
    ['^a[\\-\\:]b$', 'a:b', 'a.b'],
    ['^a\\\\-b$', 'a\\-b', 'a-b'],
    ['^\\x65\\x{74}h$', 'eth', 'xeth'],
    ['\\beth0\\b', 'a eth0', 'veth0'],
    // Only ASCII letters are letters of a word, and only ASCII digits and blanks are \d and \s.
    ['\\bλ', 'xλ', 'λ'],
    ['^\\d+$', '12', '١٢'],
    ['^\\s$', ' ', '\u00a0'],
    ['^\\s$', '\f', '\v'],
    ['^a{,2}$', 'a{,2}', 'aa'],
    ['^.$', '😀', 'ab'],
  ])('the regular expression %j matches %j and not %j', async (source, yes, no) => {
    const regex = await parseInterfaceRegex(source, '--iface-regex');
    expect([regex.source, regex.test(yes), regex.test(no)]).toEqual([source, true, false]);
  });

  it('a regular expression takes linear time', async () => {
    // A search that goes back would try 2^80 ways.
    expect((await parseInterfaceRegex('^(a+)+$', '--iface-regex')).test(`${'a'.repeat(80)}b`)).toBe(false);
  });

  it.each([
    ['eth(', 'missing closing ) in "eth("'],
    ['eth[0', 'missing closing ] in "[0"'],
    ['eth)', 'unexpected ) in "eth)"'],
    ['*eth', 'missing argument to repetition operator in "*"'],
    ['eth**', 'invalid nested repetition operator in "**"'],
    ['a{2,1}', 'invalid repeat count in "{2,1}"'],
    ['a{1001}', 'invalid repeat count in "{1001}"'],
    ['(?:a{1000}){1000}', 'invalid repeat count in "{1000}"'],
    ['[z-a]', 'invalid character class range in "z-a"'],
    ['[[:nothing:]]', 'invalid character class range in "[:nothing:]"'],
    ['eth0\\Z', 'invalid escape sequence in "\\\\Z"'],
    ['(eth)\\1', 'invalid escape sequence in "\\\\1"'],
    ['(?=eth)', 'invalid or unsupported Perl syntax in "(?="'],
    ['eth\\', 'trailing backslash at end of expression'],
  ])('the regular expression %j is refused: %s', async (source, why) => {
    await expect(parseInterfaceRegex(source, '--iface-regex')).rejects.toThrow(
      `--iface-regex: must be a regular expression in Go's syntax, is ${JSON.stringify(source)}: ${why}`,
    );
  });
});
