// Valid command lines and environments, as tables: the input and the options.
import { describe, expect, it } from 'vitest';
import { parseCommandLine } from '../../agent/options/flag-values.ts';
import { type AgentOptions, readAgentOptions } from '../../agent/options.ts';

type Environment = Readonly<Record<string, string>>;

function read(args: readonly string[], environment: Environment = {}): Promise<AgentOptions> {
  return readAgentOptions(parseCommandLine(args), environment);
}

const ETCD = {
  kind: 'etcd',
  endpoints: ['http://127.0.0.1:4001', 'http://127.0.0.1:2379'],
  prefix: '/coreos.com/network',
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  username: undefined,
  password: undefined,
} as const;

const NO_FILES = { dockerOpts: undefined, cniConf: undefined, cniPods: undefined, podmanNetwork: undefined };

describe('options', () => {
  it("options have flannel's defaults", async () => {
    expect(await read([])).toEqual({
      datastore: ETCD,
      iface: [],
      ifaceRegex: [],
      ifaceCanReach: undefined,
      publicIP: undefined,
      subnetFile: '/run/flannel/subnet.env',
      handOff: NO_FILES,
      renewMarginMinutes: 60,
      ipMasq: false,
      randomFully: true,
      forwardRules: true,
      tunnelFilter: true,
      ipForward: true,
      dockerDirect: true,
      diff: false,
      statusSocket: '/run/flannel/twill.sock',
      blackholeRoute: false,
      firewallResyncSeconds: 5,
      healthz: undefined,
      log: { level: 'info', format: 'text' },
    });
  });

  it('the file for CNI is that of the pods in Kubernetes', async () => {
    const args = ['--kube-subnet-mgr', '--cni-conf-file=/a/10-flannel.conflist'];
    expect((await read(args, { NODE_NAME: 'n1' })).handOff).toEqual({
      ...NO_FILES,
      cniPods: '/a/10-flannel.conflist',
    });
  });

  const accepted: readonly (readonly [string, readonly string[], Partial<AgentOptions>])[] = [
    ['a value after a space', ['--subnet-file', '/a'], { subnetFile: '/a' }],
    ['one dash', ['-subnet-file', '/a'], { subnetFile: '/a' }],
    ['a value after an equals sign', ['-subnet-file=/a=b'], { subnetFile: '/a=b' }],
    ['a file for Docker', ['--docker-opts-file=/a'], { handOff: { ...NO_FILES, dockerOpts: '/a' } }],
    [
      'files for CNI and Podman',
      ['--cni-conf-file=/a/10-b.conflist', '--podman-network-file=c.d_1-2.json'],
      { handOff: { ...NO_FILES, cniConf: '/a/10-b.conflist', podmanNetwork: 'c.d_1-2.json' } },
    ],
    ['a value that looks like a flag', ['--iface', '--x'], { iface: ['--x'] }],
    ['a switch alone', ['--ip-masq'], { ipMasq: true }],
    ...['true', 'TRUE', 'True', 't', 'T', '1'].map(
      (text) => [`a switch with ${text}`, [`--ip-masq=${text}`], { ipMasq: true }] as const,
    ),
    ...['false', 'FALSE', 'False', 'f', 'F', '0'].map(
      (text) =>
        [`a switch with ${text}`, [`--iptables-forward-rules=${text}`], { forwardRules: false }] as const,
    ),
    [
      'the last of several values',
      ['--v=0', '-v', '2', '--ip-masq', '--ip-masq=false'],
      { log: { level: 'debug', format: 'text' }, ipMasq: false },
    ],
    ['all of several interfaces', ['--iface=eth1', '-iface', '10.0.0.1'], { iface: ['eth1', '10.0.0.1'] }],
    ['an empty interface as none', ['--iface='], { iface: [] }],
    ['an empty address as none', ['--public-ip=', '--iface-can-reach', ''], { publicIP: undefined }],
    ['two dashes at the end', ['--ip-masq', '--'], { ipMasq: true }],
    ['the switch against fully random ports', ['--ip-masq-fully-random-disable'], { randomFully: false }],
    ['forwarding left alone', ['--ip-forward=off'], { ipForward: false }],
    ['an open tunnel port', ['--tunnel-filter=off'], { tunnelFilter: false }],
    ["Docker's own drops", ['--docker-direct=off'], { dockerDirect: false }],
    ['a blackhole route', ['--ip-blackhole-route'], { blackholeRoute: true }],
    ['the resync period', ['--iptables-resync=30'], { firewallResyncSeconds: 30 }],
    ['the ends of the renew margin', ['--subnet-lease-renew-margin=1439'], { renewMarginMinutes: 1439 }],
    [
      'addresses',
      ['--public-ip=10.0.0.9', '--iface-can-reach=10.0.0.1'],
      { publicIP: '10.0.0.9', ifaceCanReach: '10.0.0.1' },
    ],
    ['a health port', ['--healthz-port=8080'], { healthz: { ip: '0.0.0.0', port: 8080 } }],
    ['a health address', ['--healthz-port=1', '--healthz-ip=::1'], { healthz: { ip: '::1', port: 1 } }],
    [
      'Kubernetes flags at their defaults',
      [
        '--kube-subnet-mgr=false',
        '--kube-annotation-prefix=flannel.alpha.coreos.com',
        '--set-node-network-unavailable',
      ],
      {},
    ],
    [
      'flags of the logging library',
      [
        '-logtostderr',
        '--alsologtostderr=false',
        '--log_dir',
        '/x',
        '--vmodule=a=2',
        '-stderrthreshold=INFO',
      ],
      {},
    ],
    [
      'a directory as the store',
      ['--store=file:/var/lib/twill'],
      { datastore: { kind: 'file', directory: '/var/lib/twill', prefix: '/coreos.com/network' } },
    ],
    [
      'a CA alone',
      ['--etcd-endpoints=https://a:2379', '--etcd-cafile=/ca'],
      { datastore: { ...ETCD, endpoints: ['https://a:2379'], caFile: '/ca' } },
    ],
    [
      'a certificate with its key',
      ['--etcd-endpoints=https://a', '--etcd-certfile=/c', '--etcd-keyfile=/k'],
      { datastore: { ...ETCD, endpoints: ['https://a:2379'], certFile: '/c', keyFile: '/k' } },
    ],
    [
      'a user with a password',
      ['--etcd-username=u', '--etcd-password=p'],
      { datastore: { ...ETCD, username: 'u', password: 'p' } },
    ],
    [
      'endpoints with blanks and a slash',
      ['--etcd-endpoints', 'http://a:80/ , http://[::1]:4001'],
      { datastore: { ...ETCD, endpoints: ['http://a:80', 'http://[::1]:4001'] } },
    ],
    [
      'an endpoint without a scheme',
      ['--etcd-endpoints=10.0.0.1:2379'],
      { datastore: { ...ETCD, endpoints: ['http://10.0.0.1:2379'] } },
    ],
    [
      'an endpoint without a scheme, with a CA',
      ['--etcd-endpoints=a:2379', '--etcd-cafile=/ca'],
      { datastore: { ...ETCD, endpoints: ['https://a:2379'], caFile: '/ca' } },
    ],
    [
      'a prefix with a slash at its end',
      ['--etcd-prefix=/a//b/'],
      { datastore: { ...ETCD, prefix: '/a/b' } },
    ],
  ];

  it.each(accepted)('options accept %s', async (_, args, expected) => {
    expect(await read(args)).toMatchObject(expected);
  });

  const fromEnvironment: readonly (readonly [
    string,
    readonly string[],
    Environment,
    Partial<AgentOptions>,
  ])[] = [
    ['a string', [], { FLANNELD_SUBNET_FILE: '/e' }, { subnetFile: '/e' }],
    ['a switch', [], { FLANNELD_IP_MASQ: 'true' }, { ipMasq: true }],
    ['a number', [], { FLANNELD_V: '1' }, { log: { level: 'debug', format: 'text' } }],
    ['an interface', [], { FLANNELD_IFACE: 'eth1' }, { iface: ['eth1'] }],
    [
      'a password',
      [],
      { FLANNELD_ETCD_USERNAME: 'u', FLANNELD_ETCD_PASSWORD: 'p' },
      { datastore: { ...ETCD, username: 'u', password: 'p' } },
    ],
    [
      'the store',
      [],
      { FLANNELD_STORE: 'file:/s' },
      { datastore: { kind: 'file', directory: '/s', prefix: ETCD.prefix } },
    ],
    ['no value of an empty variable', [], { FLANNELD_IP_MASQ: '' }, { ipMasq: false }],
    [
      'no value if the command line has one',
      ['--iface=eth0'],
      { FLANNELD_IFACE: 'eth1' },
      { iface: ['eth0'] },
    ],
    [
      'no invalid value if the command line has one',
      ['-v=0'],
      { FLANNELD_V: 'x' },
      { log: { level: 'info', format: 'text' } },
    ],
    ['no value of a variable named like `version`', [], { FLANNELD_VERSION: 'v0.28.9' }, {}],
  ];

  it.each(fromEnvironment)('options read %s from the environment', async (_, args, environment, expected) => {
    expect(await read(args, environment)).toMatchObject(expected);
  });
});
