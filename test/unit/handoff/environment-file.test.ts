// Files of variables as people and tools write them. What a row means was checked with `sh`: source it and print the
// variable. The test below does the same where there is one.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseEnvironmentFile } from '../../../agent/handoff/environment-file.ts';
import { parseSubnetEnv } from '../../../agent/handoff/subnet-env.ts';

const ROWS: readonly (readonly [title: string, text: string, value: string | undefined])[] = [
  ['plain', 'A=10.5.34.1/24\n', '10.5.34.1/24'],
  ['without a line end', 'A=10.5.34.1/24', '10.5.34.1/24'],
  ['in double quotes', 'A="10.5.34.1/24"\n', '10.5.34.1/24'],
  ['in single quotes', "A='10.5.34.1/24'\n", '10.5.34.1/24'],
  ['in quotes that begin later', 'A=10.5.34."1/24"\n', '10.5.34.1/24'],
  ['in two quotes', `A='10.5.'"34.1/24"\n`, '10.5.34.1/24'],
  ['exported', 'export A=10.5.34.1/24\n', '10.5.34.1/24'],
  ['exported with blanks before', ' \texport  A="10.5.34.1/24"\n', '10.5.34.1/24'],
  ['exported together', 'export B=1 A=10.5.34.1/24\n', '10.5.34.1/24'],
  ['read-only', 'readonly A=10.5.34.1/24\n', '10.5.34.1/24'],
  ['with a comment after it', 'A=10.5.34.1/24 # ours\n', '10.5.34.1/24'],
  ['with # inside', 'A=a#b\n', 'a#b'],
  ['after comments', '# A=1\n  # A=2\n\nA=3\n', '3'],
  ['only in a comment', '# A=1\n', undefined],
  ['with a comment that continues nothing', '# x \\\nA=3\n', '3'],
  ['twice', 'A=1\nA=2\n', '2'],
  ['twice in a line', 'A=1; A=2\n', '2'],
  ['empty', 'A=1\nA=\n', ''],
  ['empty in quotes', 'A=""\n', ''],
  ['with escapes', 'A=10.5.34.1\\/24\n', '10.5.34.1/24'],
  ['with an escaped blank', 'A=a\\ b\n', 'a b'],
  ['with escapes in double quotes', 'A="a\\"b\\\\c\\$d\\`e\\f"\n', 'a"b\\c$d`e\\f'],
  ['with a backslash in single quotes', "A='a\\b'\n", 'a\\b'],
  ['continued on the next line', 'A=10.5.\\\n34.1/24\n', '10.5.34.1/24'],
  ['continued in double quotes', 'A="10.5.\\\n34.1/24"\n', '10.5.34.1/24'],
  ['over lines in quotes', "A='a\nb'\n", 'a\nb'],
  ['with a $ in single quotes', "A='$B'\n", '$B'],
  ['of another name', 'AA=1\nxA=2\n', undefined],
  ['with blanks around =', 'A = 1\n', undefined],
  ['for one command alone', 'A=1 true\n', undefined],
  ['as the argument of a command', 'true A=1\n', undefined],
  ['in quotes as a whole', `'A=1'\n`, undefined],
];

// Rows that a shell would not read, or would have to expand or execute.
const OURS: readonly (readonly [title: string, text: string, value: string | undefined])[] = [
  ['with CRLF', 'B=1\r\nA="10.5.34.1/24"\r\n', '10.5.34.1/24'],
  ['continued with CRLF', 'A=10.5.\\\r\n34.1/24\r\n', '10.5.34.1/24'],
  ['after a byte order mark', '\ufeffA=1\n', '1'],
  ['after a comment of systemd', '; A=1\nA=2\n;A=3\n', '2'],
  ['made by a command', 'A=1\nA=$(touch /tmp/x)\n', undefined],
  ['made by a command in quotes', 'A="`touch /tmp/x`"\n', undefined],
  ['made of another variable', 'B=1\nA=$B\n', undefined],
  ['made of another variable, and then plain', 'A=${B}\nA=2\n', '2'],
  ['after an open quote', `B='x\nA=2\n`, '2'],
  ['with an open quote', 'A="1\n', undefined],
  ['in a condition', 'if true; then A=1; fi\n', undefined],
  ['beside a redirection', 'A=1 > /tmp/x\n', undefined],
  ['in a list', 'A=1 && B=2\n', undefined],
  ['named like a prototype', '__proto__=1\nA=1\n', '1'],
];

describe('a file of variables', () => {
  it.each([...ROWS, ...OURS])('a variable is read %s', (_, text, value) => {
    expect(parseEnvironmentFile(text).get('A')).toBe(value);
  });

  it.skipIf(!existsSync('/bin/sh'))('a shell reads the same values', () => {
    for (const [title, text, value] of ROWS) {
      const script = 'eval "$1"; printf "%s" "${A-unset}"';
      // Only rows that execute nothing but `true` are here.
      const said = execFileSync('/bin/sh', ['-c', `{ ${script}; } 2>&-`, 'sh', text], { encoding: 'utf8' });
      expect([title, said]).toEqual([title, value ?? 'unset']);
    }
  });

  it('a hostile text takes no long time', () => {
    for (const piece of ['"', "'", '\\', '"\\', '$(', 'A="\\"', 'A=', '\\\n', `'"`]) {
      const start = process.hrtime.bigint();
      parseEnvironmentFile(piece.repeat(4_096));
      expect(Number(process.hrtime.bigint() - start)).toBeLessThan(3_000_000_000);
    }
  });
});

describe('subnet.env that somebody else wrote', () => {
  it.each([
    'FLANNEL_SUBNET="10.5.34.1/24"\n',
    "export FLANNEL_SUBNET='10.5.34.1/24' # this node\n",
    'FLANNEL_SUBNET=10.6.1.1/24\nFLANNEL_SUBNET=10.5.34.1/24\n',
    'FLANNEL_NETWORK=10.5.0.0/16,10.6.0.0/16\nFLANNEL_SUBNET=10.5.34.1/24,10.6.34.1/24\n',
    'FLANNEL_SUBNET=10.5.34.1/24;FLANNEL_MTU=1450\r\n',
  ])('%j holds the previous subnet', (text) => {
    expect(parseSubnetEnv(text).subnet).toEqual({ family: 'ipv4', address: '10.5.34.0', length: 24 });
  });

  it.each([
    'FLANNEL_SUBNET=10.5.34.1/24\nFLANNEL_SUBNET=\n',
    'FLANNEL_SUBNET=10.5.34.1/24\nFLANNEL_SUBNET=$(cat /etc/passwd)\n',
    'echo FLANNEL_SUBNET=10.5.34.1/24\n',
    'FLANNEL_SUBNET="10.5.34.1/24 "\n',
  ])('%j holds none', (text) => {
    expect(parseSubnetEnv(text).subnet).toBeUndefined();
  });
});
