// Odd spellings of flags and variables, and what flannel takes them for. The column `flannel` was checked with Go's
// packages flag, strconv, net and path. A difference is deliberate and says why.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../agent/base/errors.ts';
import { createLeaseKeys } from '../../agent/datastore/lease-keys.ts';
import type { KubernetesOptions } from '../../agent/model/datastore-options.ts';
import { parseCommandLine } from '../../agent/options/flag-values.ts';
import { type AgentOptions, readAgentOptions } from '../../agent/options.ts';

type Environment = Readonly<Record<string, string>>;

/** The options, or the line of their refusal. */
async function meaning(
  args: readonly string[],
  environment: Environment = {},
): Promise<AgentOptions | string> {
  try {
    return await readAgentOptions(parseCommandLine(args), environment);
  } catch (error) {
    expect(error).toMatchObject({ code: 'usage' });
    return (error as TwillError).message;
  }
}

interface Row {
  readonly args: readonly string[];
  readonly flannel: string;
  readonly ours: Partial<AgentOptions> | string;
}

const PORT = '--healthz-port: must be a whole number from 0 to 65535';
const health = (ip: string, port = 8080) => ({ healthz: { ip, port } });
const kubernetes = (changes: Partial<KubernetesOptions>): KubernetesOptions => ({
  kind: 'kubernetes',
  apiUrl: undefined,
  kubeconfigFile: undefined,
  annotationPrefix: { text: 'flannel.alpha.coreos.com', source: '--kube-annotation-prefix' },
  netConfigPath: '/etc/kube-flannel/net-conf.json',
  setsNetworkUnavailable: true,
  environment: {},
  ...changes,
});
const ADDRESS = 'must be an IPv4 address such as 192.168.77.1';

const NUMBERS: readonly Row[] = [
  { args: ['--healthz-port=0x1F90'], flannel: '8080', ours: health('0.0.0.0') },
  { args: ['--healthz-port=0b1111110010000'], flannel: '8080', ours: health('0.0.0.0') },
  { args: ['--healthz-port=0o17620'], flannel: '8080', ours: health('0.0.0.0') },
  { args: ['--healthz-port=017620'], flannel: '8080: a leading 0 is octal', ours: health('0.0.0.0') },
  { args: ['--healthz-port=8_080'], flannel: '8080', ours: health('0.0.0.0') },
  { args: ['--healthz-port=+8080'], flannel: '8080', ours: health('0.0.0.0') },
  { args: ['--healthz-port=0X_1f90'], flannel: '8080', ours: health('0.0.0.0') },
  { args: ['--healthz-port=-0'], flannel: 'off', ours: { healthz: undefined } },
  { args: ['--healthz-port=-1'], flannel: 'off', ours: { healthz: undefined } },
  { args: ['--healthz-port=08080'], flannel: 'refused: no octal number', ours: `${PORT}, is "08080"` },
  { args: ['--healthz-port=8__080'], flannel: 'refused', ours: `${PORT}, is "8__080"` },
  { args: ['--healthz-port=_8080'], flannel: 'refused', ours: `${PORT}, is "_8080"` },
  { args: ['--healthz-port=8080_'], flannel: 'refused', ours: `${PORT}, is "8080_"` },
  { args: ['--healthz-port=0x'], flannel: 'refused', ours: `${PORT}, is "0x"` },
  { args: ['--healthz-port='], flannel: 'refused', ours: `${PORT}, is ""` },
  { args: ['--healthz-port= 8080'], flannel: 'refused', ours: `${PORT}, is " 8080"` },
  { args: ['--healthz-port=8080.0'], flannel: 'refused', ours: `${PORT}, is "8080.0"` },
  { args: ['--healthz-port=1e3'], flannel: 'refused', ours: `${PORT}, is "1e3"` },
  { args: ['--healthz-port=٨٠٨٠'], flannel: 'refused', ours: `${PORT}, is "٨٠٨٠"` },
  { args: ['--subnet-lease-renew-margin=0x3c'], flannel: '60', ours: { renewMarginMinutes: 60 } },
  {
    args: ['--subnet-lease-renew-margin=1h'],
    flannel: 'refused',
    ours: '--subnet-lease-renew-margin: must be a whole number from 1 to 1439, is "1h"',
  },
  // flannel then compares without a pause.
  { args: ['--iptables-resync=0'], flannel: 'at once again', ours: { firewallResyncSeconds: 1 } },
  { args: ['--iptables-resync=604800'], flannel: 'a week', ours: { firewallResyncSeconds: 86_400 } },
  // The level of the log is a number of klog, in base 10.
  { args: ['-v=010'], flannel: '10', ours: { log: { level: 'debug', format: 'text' } } },
  { args: ['-v', '+2'], flannel: '2', ours: { log: { level: 'debug', format: 'text' } } },
  { args: ['--v=100'], flannel: '100', ours: { log: { level: 'debug', format: 'text' } } },
  { args: ['-v=-1'], flannel: '-1', ours: { log: { level: 'info', format: 'text' } } },
  {
    args: ['-v=0x1'],
    flannel: 'refused',
    ours: '-v: must be a whole number from 0 to 99, is "0x1"',
  },
];

const SWITCHES: readonly Row[] = [
  { args: ['-ip-masq=1'], flannel: 'true', ours: { ipMasq: true } },
  { args: ['-ip-masq=T'], flannel: 'true', ours: { ipMasq: true } },
  { args: ['--ip-masq=F'], flannel: 'false', ours: { ipMasq: false } },
  { args: ['--ip-masq='], flannel: 'refused', ours: '--ip-masq: must be true or false, is ""' },
  { args: ['--ip-masq=tRUE'], flannel: 'refused', ours: '--ip-masq: must be true or false, is "tRUE"' },
  { args: ['--ip-masq=on'], flannel: 'refused', ours: '--ip-masq: must be true or false, is "on"' },
  {
    args: ['-v=2', '-logtostderr', '-vmodule=a=1'],
    flannel: 'a full log',
    ours: { log: { level: 'debug', format: 'text' } },
  },
];

const ADDRESSES: readonly Row[] = [
  { args: ['--public-ip=::ffff:10.0.0.9'], flannel: '10.0.0.9', ours: { publicIP: '10.0.0.9' } },
  { args: ['--public-ip=010.0.0.9'], flannel: 'refused', ours: `--public-ip: ${ADDRESS}, is "010.0.0.9"` },
  { args: ['--public-ip=10.0.0.9 '], flannel: 'refused', ours: `--public-ip: ${ADDRESS}, is "10.0.0.9 "` },
  {
    args: ['--public-ip=10.0.0.9/24'],
    flannel: 'refused',
    ours: `--public-ip: ${ADDRESS}, is "10.0.0.9/24"`,
  },
  { args: ['--public-ip=10.9'], flannel: 'refused', ours: `--public-ip: ${ADDRESS}, is "10.9"` },
  { args: ['--public-ip=::1'], flannel: 'panic', ours: `--public-ip: ${ADDRESS}, is "::1"` },
  { args: ['--iface-can-reach=::ffff:a00:1'], flannel: '10.0.0.1', ours: { ifaceCanReach: '10.0.0.1' } },
  { args: ['--healthz-port=8080', '--healthz-ip=::1'], flannel: '::1', ours: health('::1') },
  { args: ['--healthz-port=8080', '--healthz-ip=::'], flannel: 'all addresses', ours: health('::') },
  { args: ['--healthz-port=8080', '--healthz-ip='], flannel: 'all addresses', ours: health('') },
  { args: ['--healthz-port=8080', '--healthz-ip=localhost'], flannel: 'by name', ours: health('localhost') },
  {
    args: ['--healthz-port=8080', '--healthz-ip=node-1.lan'],
    flannel: 'by name',
    ours: health('node-1.lan'),
  },
  {
    args: ['--healthz-port=8080', '--healthz-ip=[::1]'],
    flannel: 'cannot listen',
    ours: '--healthz-ip: must be an IP address or a host name, is "[::1]"',
  },
  {
    args: ['--healthz-port=8080', '--healthz-ip=10.0.0.300'],
    flannel: 'cannot listen',
    ours: '--healthz-ip: must be an IP address or a host name, is "10.0.0.300"',
  },
  {
    args: ['--healthz-ip=127.0.0.1:8080'],
    flannel: 'ignored without a port',
    ours: '--healthz-ip: must be an IP address or a host name, is "127.0.0.1:8080"',
  },
];

const KUBERNETES: readonly Row[] = [
  { args: ['--kube-subnet-mgr=false', '--kube-api-url=http://a'], flannel: 'no effect', ours: {} },
  { args: ['--net-config-path=/x', '--kubeconfig-file=/y'], flannel: 'no effect', ours: {} },
  {
    args: ['--kube-annotation-prefix=x', '--set-node-network-unavailable=0'],
    flannel: 'no effect',
    ours: {},
  },
  { args: ['--kube-subnet-mgr=1'], flannel: 'Kubernetes', ours: { datastore: kubernetes({}) } },
  {
    args: ['--kube-subnet-mgr', '--etcd-endpoints=ftp://a', '--store=redis', '--etcd-prefix=a b'],
    flannel: 'flags of etcd have no effect',
    ours: { datastore: kubernetes({}) },
  },
  {
    args: [
      '--kube-subnet-mgr',
      '--kube-api-url=https://10.0.0.1:6443',
      '--kubeconfig-file=/y',
      '--kube-annotation-prefix=x.org/y',
      '--net-config-path=/x',
      '--set-node-network-unavailable=false',
    ],
    flannel: 'all of them count',
    ours: {
      datastore: kubernetes({
        apiUrl: { text: 'https://10.0.0.1:6443', source: '--kube-api-url' },
        kubeconfigFile: '/y',
        annotationPrefix: { text: 'x.org/y', source: '--kube-annotation-prefix' },
        netConfigPath: '/x',
        setsNetworkUnavailable: false,
      }),
    },
  },
  {
    args: ['--kube-subnet-mgr', '--net-config-path='],
    flannel: 'cannot read it',
    ours: '--net-config-path: must be the path of a file, is ""',
  },
];

const QUOTED = 'must not be in quotes: they are a part of the value here';

const LISTS: readonly Row[] = [
  {
    args: ['-iface', 'eth0', '-iface', 'eth1'],
    flannel: 'both, in order',
    ours: { iface: ['eth0', 'eth1'] },
  },
  { args: ['--iface=eth0,eth1'], flannel: 'one name', ours: { iface: ['eth0,eth1'] } },
  { args: ['--iface='], flannel: 'the default interface', ours: { iface: [] } },
  { args: ['--iface-regex='], flannel: 'the default interface', ours: { ifaceRegex: [] } },
  { args: ['--iface="eth0"'], flannel: 'a name with quotes', ours: `--iface: ${QUOTED}` },
  { args: ["--iface='eth0'"], flannel: 'a name with quotes', ours: `--iface: ${QUOTED}` },
  { args: ['--subnet-file="/run/x"'], flannel: 'a path with quotes', ours: `--subnet-file: ${QUOTED}` },
  { args: ['--ip-masq="true"'], flannel: 'refused', ours: `--ip-masq: ${QUOTED}` },
  { args: ['--healthz-port="8080"'], flannel: 'refused', ours: `--healthz-port: ${QUOTED}` },
  {
    args: ['--etcd-endpoints="http://u:hunter2@a:1"'],
    flannel: 'refused',
    ours: `--etcd-endpoints: ${QUOTED}`,
  },
];

const named = (rows: readonly Row[]) => rows.map((row) => ({ ...row, text: row.args.join(' ') }));

describe('flags in an odd spelling', () => {
  it.each(named([...NUMBERS, ...SWITCHES, ...ADDRESSES, ...KUBERNETES, ...LISTS]))(
    '$text is to flannel: $flannel',
    async ({ args, ours }) => {
      const found = await meaning(args);
      if (typeof ours === 'string') expect(found).toBe(ours);
      else expect(found).toEqual(expect.objectContaining(ours));
    },
  );

  it('a number with a leading zero has a hint', async () => {
    await expect(
      readAgentOptions(parseCommandLine([]), { FLANNELD_HEALTHZ_PORT: '0989' }),
    ).rejects.toMatchObject({ hint: 'a number that begins with 0 is octal, as in flannel: leave the 0 out' });
  });

  it('a value in quotes has a hint, and a password may be in quotes', async () => {
    await expect(readAgentOptions(parseCommandLine([]), { FLANNELD_IFACE: '"eth0"' })).rejects.toMatchObject({
      message: `FLANNELD_IFACE: ${QUOTED}`,
      hint: 'write FLANNELD_IFACE=eth0',
    });
    const secret = { FLANNELD_ETCD_USERNAME: '"u"', FLANNELD_ETCD_PASSWORD: '"p"' };
    expect(await meaning([], secret)).toMatchObject({ datastore: { username: '"u"', password: '"p"' } });
  });
});

describe('variables in an odd spelling', () => {
  it.each<[string, string, string, Partial<AgentOptions> | string]>([
    ['FLANNELD_IFACE', 'eth1', 'a list of one', { iface: ['eth1'] }],
    ['FLANNELD_IFACE_REGEX', '^eth', 'a list of one', {}],
    ['FLANNELD_SUBNET_LEASE_RENEW_MARGIN', '0x3c', '60', { renewMarginMinutes: 60 }],
    ['FLANNELD_SUBNET_LEASE_RENEW_MARGIN', '', 'not set', { renewMarginMinutes: 60 }],
    ['FLANNELD_IP_MASQ', 'T', 'true', { ipMasq: true }],
    ['FLANNELD_KUBE_API_URL', 'http://a', 'no effect', {}],
    ['FLANNELD_KUBE_SUBNET_MGR', 'true', 'Kubernetes', { datastore: kubernetes({}) }],
    ['FLANNELD_HELP', 'x', 'no flag', {}],
    ['flanneld_ip_masq', 'true', 'not read', { ipMasq: false }],
  ])('%s=%s is to flannel: %s', async (name, text, _, ours) => {
    const found = await meaning([], { [name]: text });
    if (typeof ours === 'string') expect(found).toBe(ours);
    else expect(found).toEqual(expect.objectContaining(ours));
  });
});

describe('the prefix of the keys', () => {
  it.each([
    ['/coreos.com/network', '/coreos.com/network/config'],
    ['test-cluster/network', 'test-cluster/network/config'],
    ['/a/', '/a/config'],
    ['a///', 'a/config'],
    ['//a//b', '/a/b/config'],
    ['/', '/config'],
    ['', 'config'],
    ['.', 'config'],
    ['./a', 'a/config'],
    ['/a/./b', '/a/b/config'],
    ['/a/../b', '/b/config'],
    ['a/../../b', '../b/config'],
    ['/..', '/config'],
  ])('--etcd-prefix=%s has its configuration at %s, as in flannel', async (text, key) => {
    const found = await meaning([`--etcd-prefix=${text}`]);
    if (typeof found === 'string' || found.datastore.kind === 'kubernetes')
      throw new Error('no store of keys');
    const keys = createLeaseKeys(found.datastore.prefix);
    expect(keys.config).toBe(key);
    expect(keys.leases).toBe(key.replace(/config$/, 'subnets/'));
  });

  it.each([' /a', '/a b', 'a\nb', 'a\0b', '/x'.repeat(300)])('the prefix %j is refused', async (text) => {
    expect(await meaning([`--etcd-prefix=${text}`])).toMatch(
      /^--etcd-prefix: must (?:be a key such as \/coreos\.com\/network|not contain)/,
    );
  });
});
