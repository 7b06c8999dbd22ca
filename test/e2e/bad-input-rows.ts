// Bad inputs, one row each: the input, and the line and exit code of the refusal.

/** Exit codes by kind, as the README documents them. */
export const EXIT = { usage: 2, config: 3, datastore: 4, host: 5, exhausted: 6 } as const;

/** A network configuration that `network set` refuses to write and `run` refuses to use. */
export interface ConfigRow {
  readonly title: string;
  readonly config: string;
  /** The refusal, without the source in front. */
  readonly message: string | RegExp;
}

const network = (fields: string): string => `{"Network":"10.5.0.0/16",${fields}}`;

export const CONFIG_ROWS: readonly ConfigRow[] = [
  {
    title: 'malformed JSON',
    config: '{"Network":"10.5.0.0/16",}',
    message: /^not valid JSON: .*position \d+/,
  },
  { title: 'JSON that is no object', config: '[]', message: 'must be a JSON object, is []' },
  {
    title: 'no Network',
    config: '{}',
    message: /^Network: must be an IPv4 prefix such as 10\.5\.0\.0\/16/,
  },
  {
    title: 'Network that is no prefix',
    config: '{"Network":"10.5.0.0"}',
    message: 'Network: must be an IPv4 prefix such as 10.5.0.0/16, is "10.5.0.0"',
  },
  {
    title: 'Network too small',
    config: '{"Network":"10.5.0.0/29"}',
    message: 'Network: must be a /28 or larger, is "10.5.0.0/29"',
  },
  {
    title: 'SubnetLen too large',
    config: network('"SubnetLen":31'),
    message: "SubnetLen: must be from 18 (Network's length + 2) to 30, is 31",
  },
  {
    title: 'SubnetMin outside of Network',
    config: network('"SubnetMin":"10.6.1.0"'),
    message: 'SubnetMin: must be inside Network 10.5.0.0/16 (10.5.0.0 to 10.5.255.0), is "10.6.1.0"',
  },
  {
    title: 'SubnetMax not on a boundary',
    config: network('"SubnetMax":"10.5.9.1"'),
    message: 'SubnetMax: must be the first address of a /24, is "10.5.9.1"',
  },
  {
    title: 'SubnetMin after SubnetMax',
    config: network('"SubnetMin":"10.5.9.0","SubnetMax":"10.5.8.0"'),
    message: 'SubnetMin: must not be after SubnetMax 10.5.8.0, is "10.5.9.0"',
  },
  {
    title: 'unknown backend',
    config: network('"Backend":{"Type":"vxlna"}'),
    message: /^Backend\.Type: must be one of alloc, host-gw, .*vxlan.*, is "vxlna"$/,
  },
  {
    title: 'a backend that is not there yet',
    config: network('"Backend":{"Type":"WireGuard"}'),
    message: /^Backend\.Type: wireguard is not supported yet: must be one of alloc, .*, is "wireguard"$/,
  },
  {
    title: 'a Network of nothing',
    config: '{"Network":"0.0.0.0/0"}',
    message: 'Network: must be an IPv4 prefix such as 10.5.0.0/16, is "0.0.0.0/0"',
  },
  {
    title: 'Backend without Type',
    config: network('"Backend":{"VNI":1}'),
    message: 'Backend.Type: must be the name of a backend, is missing',
  },
  {
    title: 'Backend that is no object',
    config: network('"Backend":"vxlan"'),
    message: 'Backend: must be an object with a Type, is "vxlan"',
  },
  {
    title: 'VNI below zero',
    config: network('"Backend":{"Type":"vxlan","VNI":-1}'),
    message: 'Backend: VNI: must be a whole number from 0 to 16777215, is -1',
  },
  {
    title: 'VNI too large',
    config: network('"Backend":{"Type":"vxlan","VNI":16777216}'),
    message: 'Backend: VNI: must be a whole number from 0 to 16777215, is 16777216',
  },
  {
    title: 'a backend option of the wrong type',
    config: network('"Backend":{"Type":"vxlan","DirectRouting":"yes"}'),
    message: 'Backend: DirectRouting: must be true or false, is "yes"',
  },
];

/** A command line that is refused before it has any effect. */
export interface FlagRow {
  readonly title: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly message: string;
}

export const FLAG_ROWS: readonly FlagRow[] = [
  {
    title: 'a wrong number',
    args: ['run', '--healthz-port=http'],
    message: '--healthz-port: must be a whole number from 0 to 65535, is "http"',
  },
  {
    title: 'a wrong switch, called as flanneld',
    args: ['--ip-masq=maybe'],
    message: '--ip-masq: must be true or false, is "maybe"',
  },
  {
    title: 'a wrong address',
    args: ['plan', '--public-ip=10.0.0.300'],
    message: '--public-ip: must be an IPv4 address such as 192.168.77.1, is "10.0.0.300"',
  },
  {
    title: 'an unknown flag',
    args: ['run', '--etcd-endpoint=http://127.0.0.1:2379'],
    message: 'unknown flag --etcd-endpoint; did you mean --etcd-endpoints?',
  },
  { title: 'a missing value', args: ['run', '--iface'], message: '--iface: needs a value' },
  {
    title: 'an unknown command',
    args: ['cleenup'],
    message: 'unknown command "cleenup"; did you mean cleanup?',
  },
  { title: 'no command', args: [], message: 'no command given' },
  {
    title: 'a certificate without its key',
    args: ['network', 'get', '--etcd-certfile=/c.pem'],
    message: '--etcd-certfile: needs --etcd-keyfile too',
  },
  {
    title: 'http and https together',
    args: ['run', '--etcd-endpoints=http://127.0.0.1:1,https://127.0.0.1:2'],
    message: '--etcd-endpoints: must be all http or all https',
  },
  {
    title: 'a value whose quotes nobody removed',
    args: ['run'],
    environment: { FLANNELD_IFACE: '"eth0"' },
    message: 'FLANNELD_IFACE: must not be in quotes: they are a part of the value here',
  },
  {
    title: 'a wrong regular expression',
    args: ['run', '--iface-regex=eth(0'],
    message:
      '--iface-regex: must be a regular expression in Go\'s syntax, is "eth(0": missing closing ) in "eth(0"',
  },
  {
    title: 'a wrong value in the environment',
    args: ['run'],
    environment: { FLANNELD_SUBNET_LEASE_RENEW_MARGIN: '1440' },
    message: 'FLANNELD_SUBNET_LEASE_RENEW_MARGIN: must be a whole number from 1 to 1439, is "1440"',
  },
];

/** A fault of the host that `run` cannot work with. The network configuration is valid. */
export interface HostRow {
  readonly title: string;
  readonly flags: readonly string[];
  /** Arguments in front of the program. */
  readonly starter?: readonly string[];
  readonly exitCode: number;
  readonly message: RegExp;
  readonly hint?: RegExp;
}

// The user nobody, with the capability to read the program in any checkout.
const AS_NOBODY = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--inh-caps=-all,+dac_read_search',
  '--ambient-caps=-all,+dac_read_search',
];

export const HOST_ROWS: readonly HostRow[] = [
  {
    title: 'no root',
    flags: [],
    starter: AS_NOBODY,
    exitCode: EXIT.host,
    message: /^cannot change the network: no permission/,
  },
  {
    title: 'root without CAP_NET_ADMIN, as in a container',
    flags: [],
    starter: ['setpriv', '--bounding-set=-net_admin'],
    exitCode: EXIT.host,
    message: /^cannot change the network: no permission \(CAP_NET_ADMIN is missing\)/,
  },
  {
    title: 'a subnet file that cannot be written',
    flags: ['--subnet-file=/dev/null/subnet.env'],
    exitCode: EXIT.host,
    message: /^cannot write \/dev\/null\/subnet\.env: /,
  },
  {
    title: 'a subnet file that is a directory',
    flags: ['--subnet-file=/run/flannel'],
    exitCode: EXIT.host,
    message: /^cannot write \/run\/flannel: /,
  },
  {
    title: 'a file for Docker that cannot be written',
    flags: ['--docker-opts-file=/dev/null/docker'],
    exitCode: EXIT.host,
    message: /^cannot write \/dev\/null\/docker: /,
  },
  {
    title: 'neither iptables nor nft',
    flags: ['--ip-masq'],
    starter: ['env', 'PATH=/nonexistent'],
    exitCode: EXIT.host,
    message: /neither iptables nor nft is installed/,
  },
  {
    title: 'a missing interface',
    flags: ['--iface=eth7'],
    exitCode: EXIT.host,
    message: /^no interface matches eth7$/,
    hint: /eth0.*192\.168\.77\.1/,
  },
  {
    title: 'an address of no interface',
    flags: ['--iface=192.168.99.9'],
    exitCode: EXIT.host,
    message: /^no interface matches 192\.168\.99\.9$/,
    hint: /eth0.*192\.168\.77\.1/,
  },
];
