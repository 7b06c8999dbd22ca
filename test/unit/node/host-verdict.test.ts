import { describe, expect, it } from 'vitest';
import type { HostAddress, HostRoute } from '../../../agent/model/host-checks.ts';
import { planesOf } from '../../../agent/model/plane.ts';
import {
  type Carried,
  carriedBy,
  judgeAddresses,
  judgeForwarding,
  judgeRoutes,
  linksToOpen,
  sampleAddress,
  samplePeers,
  type Verdict,
} from '../../../agent/node/host-verdict.ts';
import { hostFacts, OVERLAYS, prefix } from '../../support/build.ts';
import { hostGwPeer, peer, plan, vxlanPeer } from '../../support/golden-states.ts';

const CARRIED: Carried = {
  network: prefix('172.17.0.0/16'),
  subnet: prefix('172.17.5.0/24'),
  former: [prefix('172.17.7.0/24')],
  underlay: 'eth0',
  links: ['flannel.1'],
  peers: [{ subnet: prefix('172.17.9.0/24'), dev: 'flannel.1' }],
};

// `docker0 172.17.0.1/16 proxy_arp`; a name that begins as those of bridges do is one.
function address(text: string): HostAddress {
  const [dev = '', of = '', flag] = text.split(' ');
  const isBridge = /^(?:br|docker|cni|podman|virbr)/.test(dev);
  return { dev, isBridge, answersForOthers: flag === 'proxy_arp', prefix: prefix(of) };
}

const summary = ({ faults, warnings }: Verdict): string[] => [
  ...faults.map((line) => `fault: ${line}`),
  ...warnings.map((line) => `warning: ${line}`),
];

describe('an address of the host', () => {
  it.each<[string, string[], RegExp[]]>([
    ['of the bridge with our subnet is right', ['docker0 172.17.5.1/24'], []],
    ['of a bridge with a part of our subnet is right', ['br-1 172.17.5.129/25', 'docker0 172.17.5.1/25'], []],
    ['of one container of ours is right', ['veth1 172.17.5.1/32'], []],
    ['of a bridge where the host answers for others is right', ['docker0 172.17.5.1/16 proxy_arp'], []],
    ['of our own link is right', ['flannel.1 172.17.5.0/32'], []],
    [
      'of Docker’s default makes a fault',
      ['docker0 172.17.0.1/16'],
      [
        /^fault: docker0 has 172\.17\.0\.1\/16, which covers .* start dockerd with --bip=172\.17\.5\.1\/24, or choose/,
      ],
    ],
    [
      'of a bridge that takes a neighbouring subnet makes a fault',
      ['cni0 172.17.4.1/23'],
      [/^fault: cni0 has 172\.17\.4\.1\/23/],
    ],
    ['of a bridge around the network makes a fault', ['br0 172.16.0.1/12'], [/^fault: br0 has 172\.16/]],
    [
      'of Docker’s default beside a bridge with our subnet is told',
      ['docker0 172.17.0.1/16', 'cni0 172.17.5.1/24'],
      [
        /^warning: docker0 has 172\.17\.0\.1\/16, which covers .*; start dockerd with --bip=172\.17\.5\.1\/24 or a free part of it, or choose/,
      ],
    ],
    [
      'of a bridge in a part of a peer’s subnet is told with that subnet',
      ['br-1 172.17.9.1/26'],
      [/^warning: br-1 has 172\.17\.9\.1\/26, .* and the subnet 172\.17\.9\.0\/24 of another node: /],
    ],
    [
      'of a bridge with a subnet that is nobody’s is told',
      ['virbr0 172.17.122.1/24'],
      [/^warning: virbr0 has 172\.17\.122\.1\/24, which overlaps the network 172\.17\.0\.0\/16: containers/],
    ],
    [
      'of a network of Docker’s default pool is told with its remedy',
      ['br-0123456789ab 172.17.64.1/20'],
      [
        /^warning: br-0123456789ab has .* \(see "twill docker network"\), .*"default-address-pools" in daemon\.json/,
      ],
    ],
    [
      'of a network of Podman’s default pool is told with its remedy',
      ['podman1 172.17.89.1/24'],
      [/^warning: podman1 has .* \(see "twill podman network"\), .*default_subnet_pools in containers\.conf/],
    ],
    [
      'of another program’s bridge is told with our subnet',
      ['cni0 172.17.89.1/24'],
      [/^warning: cni0 has .*; give it 172\.17\.5\.1\/24, or choose another network$/],
    ],
    [
      'of Docker’s bridge in our former subnet is told with its remedy',
      ['docker0 172.17.7.1/24'],
      [
        /^warning: docker0 still has 172\.17\.7\.1\/24 of this node's former subnet 172\.17\.7\.0\/24: .* --bip=172\.17\.5\.1\/24$/,
      ],
    ],
    [
      'of a bridge in a part of our former subnet is told beside one with our subnet',
      ['cni0 172.17.5.1/24', 'podman1 172.17.7.129/25'],
      [
        /^warning: podman1 still has 172\.17\.7\.129\/25 of this node's former subnet .*"twill podman network"/,
      ],
    ],
    [
      'of one container in our former subnet is told as any other',
      ['veth1 172.17.7.9/32'],
      [/^warning: veth1 has 172\.17\.7\.9\/32, which overlaps .*; give veth1 other addresses/],
    ],
    [
      'of the underlay in the network is told',
      ['eth0 172.17.200.5/24'],
      [/^warning: eth0 has 172\.17\.200\.5\/24, .* without masquerade$/],
    ],
    [
      'of the underlay around the network is told',
      ['eth0 172.16.0.5/12'],
      [/^warning: eth0 has .*masquerade$/],
    ],
    [
      'of the underlay in our own subnet makes a fault',
      ['eth0 172.17.5.200/24'],
      [/^fault: eth0 has 172\.17\.5\.200\/24, which lies in our subnet 172\.17\.5\.0\/24/],
    ],
    ['of another link around the network is told', ['eth1 172.17.0.9/16'], [/^warning: eth1 has 172\.17/]],
    [
      'of one address in a peer’s subnet is told',
      ['lo 172.17.9.7/32'],
      [/^warning: lo has 172\.17\.9\.7\/32/],
    ],
  ])('an address %s', (_, addresses, expected) => {
    expect(summary(judgeAddresses(CARRIED, addresses.map(address)))).toEqual(
      expected.map((pattern) => expect.stringMatching(pattern)),
    );
  });
});

it('a former subnet that is another node’s now is told as such', () => {
  const [former] = CARRIED.former;
  const peers = [{ subnet: former ?? prefix('0.0.0.0/0'), dev: 'flannel.1' }];
  const { warnings } = judgeAddresses({ ...CARRIED, peers }, [address('docker0 172.17.7.1/24')]);
  expect(warnings).toEqual([expect.stringContaining("172.17.7.0/24, which is another node's now: other")]);
});

describe('forwarding', () => {
  it.each<[string, string[], string[]]>([
    ['nothing where all links forward', [], []],
    ['nothing where somebody has opened the links in question alone', ['all'], []],
    ['all links where the host does not forward', ['all', 'flannel.1', 'docker0'], ['all']],
    ['our own link where it alone is closed', ['flannel.1', 'docker0'], ['flannel.1']],
    ['no link of others', ['docker0', 'eth0'], []],
  ])('the agent opens %s', (_, closed, opened) => {
    expect(linksToOpen(closed)).toEqual(opened);
  });

  it.each<[string, string[], string[], RegExp[]]>([
    ['all links open', [], ['docker0'], []],
    ['only the links in question open', ['all'], ['docker0'], []],
    [
      'the host closed',
      ['all', 'docker0', 'flannel.1'],
      ['docker0'],
      [/^fault: \S+\/ip_forward is 0, .*"sysctl -w/],
    ],
    ['our link closed', ['flannel.1'], ['docker0'], [/^fault: \S+\/flannel\.1\/forwarding is 0/]],
    ['the underlay of host-gw closed', ['eth0'], ['docker0'], [/^fault: \S+\/eth0\/forwarding is 0/]],
    ['the only bridge closed', ['docker0'], ['docker0'], [/^fault: \S+\/docker0\/forwarding is 0/]],
    ['one of two bridges closed', ['br-1'], ['docker0', 'br-1'], [/^warning: \S+\/br-1\/forwarding is 0/]],
    [
      'both bridges closed',
      ['docker0', 'br-1'],
      ['docker0', 'br-1'],
      [/^fault: \S+\/docker0\/forwarding/, /^fault: \S+\/br-1\/forwarding/],
    ],
  ])('a host with %s', (_, closed, bridges, expected) => {
    expect(summary(judgeForwarding(closed, bridges, new Map()))).toEqual(
      expected.map((pattern) => expect.stringMatching(pattern)),
    );
  });

  it('the reason why a link could not be opened is told', () => {
    const reasons = new Map([['all', 'cannot write it: it is mounted read-only']]);
    expect(judgeForwarding(['all', 'flannel.1'], [], reasons).faults).toEqual([
      expect.stringContaining('(cannot write it: it is mounted read-only)'),
    ]);
  });
});

describe('a route that packets take', () => {
  const peers = [2, 3].map((n) => ({ subnet: prefix(`172.17.${n}.0/24`), dev: 'flannel.1' }));
  const ours: HostRoute = { dev: 'flannel.1', length: 24, table: 254 };

  it.each<[string, (HostRoute | undefined)[], RegExp[]]>([
    ['of ours', [ours, ours], []],
    [
      'that is missing, so that the default route takes them',
      [{ dev: 'eth0', length: 0, table: 254 }, ours],
      [],
    ],
    ['that drops them', [undefined, undefined], []],
    ['in the place of ours', [{ dev: 'br0', length: 24, table: 254 }, ours], []],
    ['of this host itself', [{ dev: 'br0', length: 32, table: 255 }, ours], []],
    [
      'that is narrower, in our table',
      [
        { dev: 'br0', length: 26, table: 254 },
        { dev: 'br1', length: 25, table: 254 },
      ],
      [/^warning: packets to 172\.17\.2\.0\/24 leave by br0 .* narrower/, /^warning: packets to 172\.17\.3/],
    ],
    [
      'of another table, for all peers',
      [
        { dev: 'tailscale0', length: 16, table: 52 },
        { dev: 'tailscale0', length: 16, table: 52 },
      ],
      [/^fault: packets to 172\.17\.2\.0\/24 leave by tailscale0 and not by flannel\.1, by table 52 /],
    ],
    [
      'of another table, for one peer',
      [ours, { dev: 'tun0', length: 24, table: 7 }],
      [/^warning: packets to 172\.17\.3\.0\/24 leave by tun0/],
    ],
  ])('a route %s', (_, routes, expected) => {
    expect(summary(judgeRoutes(peers, routes))).toEqual(
      expected.map((pattern) => expect.stringMatching(pattern)),
    );
  });

  it('a route to another gateway on the same link is a warning', () => {
    const direct = [2, 3].map((n) => ({
      subnet: prefix(`172.17.${n}.0/24`),
      dev: 'eth0',
      via: `192.168.77.${n}`,
    }));
    const to = (via: string, length: number, table: number): HostRoute => ({
      dev: 'eth0',
      via,
      length,
      table,
    });
    expect(judgeRoutes(direct, [to('192.168.77.2', 24, 254), to('192.168.77.3', 24, 52)]).warnings).toEqual(
      [],
    );
    const routes = [to('192.168.77.254', 25, 254), to('192.168.77.254', 0, 52)];
    expect(summary(judgeRoutes(direct, routes))).toEqual([
      expect.stringMatching(
        /^warning: .*2\.0\/24 leave by eth0 via 192\.168\.77\.254 and not by eth0 via 192\.168\.77\.2, by a narrower/,
      ),
      expect.stringMatching(/^warning: packets to 172\.17\.3\.0\/24 leave by eth0 .* by table 52/),
    ]);
  });

  it('a node without peers has no fault of routes', () => {
    expect(judgeRoutes([], [])).toEqual({ faults: [], warnings: [] });
  });

  it('a few peers from all parts of the list are looked up', () => {
    const many = Array.from({ length: 5_000 }, (_, i) => ({
      subnet: prefix(`10.${i >> 8}.${i & 255}.0/24`),
      dev: 'flannel.1',
    }));
    expect(samplePeers(many)).toHaveLength(8);
    expect(samplePeers(many)[7]?.subnet.address).toBe('10.17.23.0');
    expect(samplePeers(many.slice(0, 3))).toHaveLength(3);
    expect(samplePeers([])).toEqual([]);
    expect(many.slice(0, 1).map(sampleAddress)).toEqual(['10.0.0.2']);
    expect(sampleAddress({ subnet: prefix('10.5.4.9/32'), dev: '' })).toBe('10.5.4.9');
  });
});

describe('the part of a host state that the host must carry', () => {
  const [plane] = planesOf(hostFacts(), OVERLAYS, { ipv4: prefix('10.5.1.0/24') });
  const links = async (type: string, peers: Parameters<typeof plan>[2]): Promise<readonly string[]> => {
    if (plane === undefined) throw new Error('no plane');
    return carriedBy(plane, await plan(type, type === 'vxlan' ? { DirectRouting: true } : {}, peers)).links;
  };

  it('the links are those that packets of other nodes come in by', async () => {
    const far = vxlanPeer(4, '02:00:00:00:00:04', '192.168.99.4');
    expect(await links('vxlan', [far])).toEqual(['flannel.1']);
    expect(await links('vxlan', [far, vxlanPeer(2)])).toEqual(['flannel.1', 'eth0']);
    expect(await links('udp', [peer('10.5.2.0/24', '192.168.77.2', 'udp')])).toEqual(['flannel0']);
    expect(await links('host-gw', [hostGwPeer(2)])).toEqual(['eth0']);
    expect(await links('host-gw', [])).toEqual([]);
  });
});
