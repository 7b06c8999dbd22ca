// Invalid command lines and environments, as tables: the input and the exact line of the refusal.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../agent/base/errors.ts';
import { parseCommandLine } from '../../agent/options/flag-values.ts';
import { readAgentOptions } from '../../agent/options.ts';

type Environment = Readonly<Record<string, string>>;

async function refusal(args: readonly string[], environment: Environment = {}): Promise<TwillError> {
  try {
    await readAgentOptions(parseCommandLine(args), environment);
  } catch (error) {
    if (error instanceof TwillError) return error;
    throw error;
  }
  throw new Error(`accepted: ${args.join(' ')}`);
}

describe('options', () => {
  const refused: readonly (readonly [readonly string[], string, string?])[] = [
    [['--ifcae=eth0'], 'unknown flag --ifcae; did you mean --iface?', '`twill help run` lists all flags'],
    [
      ['-etcd-endpoint', 'x'],
      'unknown flag --etcd-endpoint; did you mean --etcd-endpoints?',
      '`twill help run` lists all flags',
    ],
    [
      ['--etcd-pasword=hunter2'],
      'unknown flag --etcd-pasword; did you mean --etcd-password?',
      '`twill help run` lists all flags',
    ],
    [['--frobnicate'], 'unknown flag --frobnicate', '`twill help run` lists all flags'],
    [['---iface'], 'not a flag: "---iface"', '`twill help run` lists all flags'],
    [['---etcd-password=hunter2'], 'not a flag: "---etcd-password…"', '`twill help run` lists all flags'],
    [['--iface'], '--iface: needs a value'],
    [['-v'], '-v: needs a value'],
    [['-v', 'high'], '-v: must be a whole number from 0 to 99, is "high"'],
    [['--healthz-port=65536'], '--healthz-port: must be a whole number from 0 to 65535, is "65536"'],
    [
      ['--subnet-lease-renew-margin=0'],
      '--subnet-lease-renew-margin: must be a whole number from 1 to 1439, is "0"',
    ],
    [
      ['--subnet-lease-renew-margin=1440'],
      '--subnet-lease-renew-margin: must be a whole number from 1 to 1439, is "1440"',
    ],
    [['--tunnel-filter=on'], '--tunnel-filter: must be auto or off, is "on"'],
    [['--ip-forward=on'], '--ip-forward: must be auto or off, is "on"'],
    [['--docker-direct=on'], '--docker-direct: must be auto or off, is "on"'],
    [['--iptables-resync=1.5'], '--iptables-resync: must be a whole number from 1 to 86400, is "1.5"'],
    [['--ip-masq=yes'], '--ip-masq: must be true or false, is "yes"'],
    [['--ip-masq', 'false'], '--ip-masq: unexpected "false" after it', 'write --ip-masq=false'],
    [['--public-ip=10.0.0'], '--public-ip: must be an IPv4 address such as 192.168.77.1, is "10.0.0"'],
    [['--public-ip=127.0.0.1'], '--public-ip: must be an address that other hosts can reach, is "127.0.0.1"'],
    [['--public-ip=0.0.0.0'], '--public-ip: must be an address that other hosts can reach, is "0.0.0.0"'],
    [
      ['--public-ip=169.254.7.7'],
      '--public-ip: must be an address that other hosts can reach, is "169.254.7.7"',
    ],
    [['--public-ip=224.0.0.1'], '--public-ip: must be an address that other hosts can reach, is "224.0.0.1"'],
    [['--public-ip=fd00::1'], '--public-ip: must be an IPv4 address such as 192.168.77.1, is "fd00::1"'],
    [
      ['--iface-can-reach=host'],
      '--iface-can-reach: must be an IPv4 address such as 192.168.77.1, is "host"',
    ],
    [['--healthz-ip=all:80'], '--healthz-ip: must be an IP address or a host name, is "all:80"'],
    [['--public-ipv6=fd00::1'], '--public-ipv6: IPv6 is not supported yet'],
    [
      ['--iface-regex=ens', '--iface-regex=eth('],
      '--iface-regex: must be a regular expression in Go\'s syntax, is "eth(": missing closing ) in "eth("',
    ],
    [['--subnet-file='], '--subnet-file: must be the path of a file, is ""'],
    [['--docker-opts-file=/a/'], '--docker-opts-file: must be the path of a file, is "/a/"'],
    [
      ['--docker-opts-file=/run/flannel/../flannel/subnet.env'],
      '--docker-opts-file: must be another file than --subnet-file, is "/run/flannel/../flannel/subnet.env"',
    ],
    [
      ['--docker-opts-file=/a.json', '--podman-network-file=//a.json'],
      '--podman-network-file: must be another file than --docker-opts-file, is "//a.json"',
    ],
    ...['/etc/cni/net.d/twill.conf', '/etc/cni/net.d/.conflist', 'conflist'].map(
      (path): readonly [readonly string[], string] => [
        ['--cni-conf-file', path],
        `--cni-conf-file: must be the path of a file that ends in .conflist, is "${path}"`,
      ],
    ),
    ...['/a/twill', '/a/.json', '/a/-b.json', '/a/a b.json', '/a/é.json', '/a/b.json/'].map(
      (path): readonly [readonly string[], string] => [
        ['--podman-network-file', path],
        `--podman-network-file: must be the path of a file named NAME.json, with a NAME of letters, digits, _ . - that ` +
          `begins with a letter or a digit, is "${path}"`,
      ],
    ),
    [['--etcd-certfile=/c'], '--etcd-certfile: needs --etcd-keyfile too'],
    [['--etcd-keyfile=/k'], '--etcd-keyfile: needs --etcd-certfile too'],
    [['--etcd-username=u'], '--etcd-username: needs --etcd-password too'],
    [['--etcd-password=hunter2'], '--etcd-password: needs --etcd-username too'],
    [['--etcd-password-file=/p'], '--etcd-password-file: needs --etcd-username too'],
    [
      ['--etcd-username=u', '--etcd-password=hunter2', '--etcd-password-file=/p'],
      '--etcd-password-file: takes the place of --etcd-password: leave one out',
    ],
    [['--etcd-endpoints=http://a:1,https://b:1'], '--etcd-endpoints: must be all http or all https'],
    [['--etcd-endpoints='], '--etcd-endpoints: must name at least one URL'],
    [
      ['--etcd-endpoints=ftp://a:1'],
      '--etcd-endpoints: must be URLs such as http://10.0.0.1:2379, separated by commas, is "ftp://a:1"',
    ],
    [
      ['--etcd-endpoints=http://a:1/v2'],
      '--etcd-endpoints: must be URLs such as http://10.0.0.1:2379, separated by commas, is "http://a:1/v2"',
    ],
    [
      ['--etcd-endpoints=http://a:99999'],
      '--etcd-endpoints: must be URLs such as http://10.0.0.1:2379, separated by commas, is "http://a:99999"',
    ],
    [
      ['--etcd-endpoints=http://u:hunter2@a:1'],
      '--etcd-endpoints: must not contain a user: use --etcd-username and --etcd-password',
    ],
    ...[
      'http://u:hunter2@a:99999',
      'http://u:hun/ter2@a',
      'u:hunter2@a',
      'http:u:hunter2@a',
      '"hunter2@a"',
    ].map((text): readonly [readonly string[], string] => [
      [`--etcd-endpoints=http://b:1,${text}`],
      '--etcd-endpoints: must not contain a user: use --etcd-username and --etcd-password',
    ]),
    [
      ['--etcd-endpoints="u:hunter2@a:1"'],
      '--etcd-endpoints: must not be in quotes: they are a part of the value here',
    ],
    [['--store=etcd://u:hunter2@a:1'], '--store: must be "etcd" or "file:DIR"'],
    ...['--etcd-cafile=/ca', '--etcd-certfile=/c'].map(
      (flag): readonly [readonly string[], string, string] => [
        [flag, '--etcd-keyfile=/k', '--etcd-certfile=/c', '--etcd-endpoints=http://10.0.0.1:2379'],
        `${flag.split('=')[0]}: needs https:// in --etcd-endpoints, which is http://10.0.0.1:2379`,
        `write https:// in --etcd-endpoints if etcd speaks TLS, or leave ${flag.split('=')[0]} out`,
      ],
    ),
    [
      ['--etcd-prefix=/a b'],
      '--etcd-prefix: must be a key such as /coreos.com/network (no blanks, at most 512 characters), is "/a b"',
    ],
    [['--store=redis'], '--store: must be "etcd" or "file:DIR", is "redis"'],
    [['--store=file:data'], '--store: must name an absolute directory after "file:", is "file:data"'],
  ];

  const rows = refused.map(([args, message, hint]) => ({ args, message, hint }));

  it.each(rows)('options refuse the arguments $args', async ({ args, message, hint }) => {
    const error = await refusal(args);
    expect({ code: error.code, message: error.message, hint: error.hint }).toEqual({
      code: 'usage',
      message,
      hint,
    });
  });

  const refusedVariables: readonly (readonly [string, string, string])[] = [
    ['FLANNELD_IP_MASQ', 'yes', 'FLANNELD_IP_MASQ: must be true or false, is "yes"'],
    ['FLANNELD_HEALTHZ_PORT', 'x', 'FLANNELD_HEALTHZ_PORT: must be a whole number from 0 to 65535, is "x"'],
    ['FLANNELD_PUBLIC_IP', 'x', 'FLANNELD_PUBLIC_IP: must be an IPv4 address such as 192.168.77.1, is "x"'],
    [
      'FLANNELD_IFACE_REGEX',
      '[',
      'FLANNELD_IFACE_REGEX: must be a regular expression in Go\'s syntax, is "[": missing closing ] in "["',
    ],
    ['FLANNELD_KUBE_SUBNET_MGR', 'yes', 'FLANNELD_KUBE_SUBNET_MGR: must be true or false, is "yes"'],
  ];

  it.each(refusedVariables)('options name the invalid variable %s', async (name, text, message) => {
    expect((await refusal([], { [name]: text })).message).toBe(message);
  });

  it('options never show a password in a refusal', async () => {
    for (const [args] of refused) {
      const { message, hint } = await refusal(args);
      expect(`${message} ${hint}`).not.toContain('hunter2');
    }
  });
});
