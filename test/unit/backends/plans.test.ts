// The kernel objects that each backend plans for leases, in the words of `ip`.
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../../agent/base/schema.ts';
import { formatHostState } from '../../../agent/model/host-state.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import { announcement } from '../../../agent/node/plan.ts';
import { createBackend } from '../../../backends/index.ts';
import { bgpFacts, hostFacts } from '../../support/build.ts';
import { hostGwPeer, peer, plan, vxlanPeer } from '../../support/golden-states.ts';

const text = async (
  type: string,
  options: Record<string, JsonValue>,
  peers: readonly Lease[],
  facts = hostFacts(),
): Promise<readonly string[]> =>
  formatHostState(await plan(type, options, peers, facts))
    .trimEnd()
    .split('\n');

const LINK =
  'link vxlan flannel.1 vni 1 port 8472 mtu 1450 mac 0e:a9:e0:21:b6:4d local 192.168.77.1 dev eth0 nolearning';
const ADDR = 'addr 10.5.1.0/32 dev flannel.1';
const at = (lease: Lease, created: number): Lease => ({ ...lease, created });

describe('host-gw', () => {
  it('host-gw makes the peer the gateway to its subnet', async () => {
    expect(await text('host-gw', {}, [hostGwPeer(10), hostGwPeer(2), hostGwPeer(3)])).toEqual([
      'route 10.5.2.0/24 via 192.168.77.2 dev eth0',
      'route 10.5.3.0/24 via 192.168.77.3 dev eth0',
      'route 10.5.10.0/24 via 192.168.77.10 dev eth0',
    ]);
  });

  it('host-gw reaches a peer by the link to its network where our address is on lo', async () => {
    const peers = [hostGwPeer(2), hostGwPeer(3, '192.168.78.3'), hostGwPeer(4, '10.99.0.4')];
    expect(await text('host-gw', {}, peers, bgpFacts())).toEqual([
      'route 10.5.2.0/24 via 192.168.77.2 dev eth0',
      'route 10.5.3.0/24 via 192.168.78.3 dev eth1',
      'route 10.5.4.0/24 via 10.99.0.4 dev lo',
    ]);
  });

  it('host-gw leaves out nodes of other backends', async () => {
    expect(await text('host-gw', {}, [vxlanPeer(2), peer('10.5.3.0/24', '192.168.77.3', 'udp')])).toEqual([
      '',
    ]);
  });
});

describe('alloc', () => {
  it('alloc plans nothing', async () => {
    expect(await text('alloc', {}, [peer('10.5.2.0/24', '192.168.77.2', 'alloc')])).toEqual(['']);
  });
});

describe('vxlan', () => {
  it('vxlan with DirectRouting follows the name of the underlay', async () => {
    const first = vxlanPeer(2);
    const lines = async (name: string): Promise<readonly string[]> =>
      (await text('vxlan', { DirectRouting: true }, [first], hostFacts({ name }))).slice(2);
    expect(await lines('eth0')).toEqual(['route 10.5.2.0/24 via 192.168.77.2 dev eth0']);
    expect(await lines('eth1')).toEqual(['route 10.5.2.0/24 via 192.168.77.2 dev eth1']);
  });

  it('vxlan makes one device with an address, and three entries a peer', async () => {
    expect(await text('vxlan', {}, [vxlanPeer(3), vxlanPeer(2)])).toEqual([
      LINK,
      ADDR,
      'neigh 10.5.2.0 lladdr 02:00:00:00:00:02 dev flannel.1',
      'neigh 10.5.3.0 lladdr 02:00:00:00:00:03 dev flannel.1',
      'fdb 02:00:00:00:00:02 dst 192.168.77.2 dev flannel.1',
      'fdb 02:00:00:00:00:03 dst 192.168.77.3 dev flannel.1',
      'route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink',
      'route 10.5.3.0/24 via 10.5.3.0 dev flannel.1 onlink',
    ]);
  });

  it('vxlan gives the device the MAC that peers know, and announces that one', async () => {
    const facts = hostFacts({ knownMac: '02:00:00:00:00:0a' });
    expect((await text('vxlan', {}, [], facts))[0]).toBe(LINK.replace(/mac \S+/, 'mac 02:00:00:00:00:0a'));
    const backend = await createBackend({ type: 'vxlan', options: {} }, 'config');
    expect(announcement(backend, facts).backendData.ipv4).toEqual({ VNI: 1, VtepMAC: '02:00:00:00:00:0a' });
  });

  it('vxlan binds the device to no link where our address is on lo', async () => {
    expect((await text('vxlan', {}, [], bgpFacts()))[0]).toMatch(
      / mtu 1450 mac \S+ local 10\.99\.0\.1 nolearning$/,
    );
  });

  it('vxlan with DirectRouting takes the link to the peer’s network where our address is on lo', async () => {
    const [near, far] = [
      vxlanPeer(2, '02:00:00:00:00:02', '192.168.78.2'),
      vxlanPeer(3, '02:00:00:00:00:03', '10.99.0.3'),
    ];
    expect((await text('vxlan', { DirectRouting: true }, [near, far], bgpFacts())).slice(-2)).toEqual([
      'route 10.5.2.0/24 via 192.168.78.2 dev eth1',
      'route 10.5.3.0/24 via 10.5.3.0 dev flannel.1 onlink',
    ]);
  });

  it('vxlan makes the device as its options say', async () => {
    expect(await text('vxlan', { vni: 7, PORT: 4789, Learning: true, GBP: true, MTU: 1400 }, [])).toEqual([
      expect.stringMatching(
        /^link vxlan flannel\.7 vni 7 port 4789 mtu 1350 mac .* local 192\.168\.77\.1 dev eth0 learning gbp$/,
      ),
      'addr 10.5.1.0/32 dev flannel.7',
    ]);
  });

  it('vxlan with DirectRouting needs the device only for peers behind a router', async () => {
    const far = vxlanPeer(4, '02:00:00:00:00:04', '192.168.99.4');
    expect(await text('vxlan', { DirectRouting: true }, [vxlanPeer(2), far])).toEqual([
      LINK,
      ADDR,
      'neigh 10.5.4.0 lladdr 02:00:00:00:00:04 dev flannel.1',
      'fdb 02:00:00:00:00:04 dst 192.168.99.4 dev flannel.1',
      'route 10.5.2.0/24 via 192.168.77.2 dev eth0',
      'route 10.5.4.0/24 via 10.5.4.0 dev flannel.1 onlink',
    ]);
  });

  it.each<[string, JsonValue | undefined]>([
    ['no data', undefined],
    ['null', null],
    ['a string', '02:00:00:00:00:02'],
    ['a list', ['02:00:00:00:00:02']],
    ['no MAC', { VNI: 1 }],
    ['a MAC of another type', { VNI: 1, VtepMAC: 2 }],
    ['an empty MAC', { VNI: 1, VtepMAC: '' }],
    ['a MAC of 5 bytes', { VNI: 1, VtepMAC: '02:00:00:00:02' }],
    ['a MAC of 8 bytes', { VNI: 1, VtepMAC: '02:00:00:00:00:00:00:02' }],
    ['a MAC with more behind it', { VNI: 1, VtepMAC: '02:00:00:00:00:02 dev eth0' }],
    ['a MAC with a line break', { VNI: 1, VtepMAC: '02:00:00:00:00:02\n' }],
    ['all zeros, to which the kernel floods', { VNI: 1, VtepMAC: '00:00:00:00:00:00' }],
    ['everybody', { VNI: 1, VtepMAC: 'ff:ff:ff:ff:ff:ff' }],
    ['a group', { VNI: 1, VtepMAC: '01:00:5e:00:00:01' }],
  ])('leaves out a peer that announces %s', async (_, data) => {
    expect(await text('vxlan', {}, [peer('10.5.2.0/24', '192.168.77.2', 'vxlan', data)])).toEqual([
      LINK,
      ADDR,
    ]);
  });

  it.each<[string, JsonValue]>([
    ['in capitals', { VNI: 1, VtepMAC: '02:00:00:00:00:0A' }],
    ['of another VNI, as flannel does', { VNI: 9, VtepMAC: '02:00:00:00:00:0a' }],
    ['without a VNI, as of an old flannel', { VtepMAC: '02:00:00:00:00:0a' }],
    ['with more fields', { VNI: 1, VtepMAC: '02:00:00:00:00:0a', More: {} }],
  ])('takes a peer whose data are %s', async (_, data) => {
    const lines = await text('vxlan', {}, [peer('10.5.2.0/24', '192.168.77.2', 'vxlan', data)]);
    expect(lines[2]).toBe('neigh 10.5.2.0 lladdr 02:00:00:00:00:0a dev flannel.1');
    expect(lines).toHaveLength(5);
  });

  it('vxlan leaves out nodes of other backends', async () => {
    const data = { VNI: 1, VtepMAC: '02:00:00:00:00:02' };
    expect(
      await text('vxlan', { DirectRouting: true }, [
        hostGwPeer(3),
        peer('10.5.2.0/24', '192.168.77.2', 'wireguard', data),
      ]),
    ).toEqual([LINK, ADDR]);
  });

  it('vxlan plans each key once where two leases name one MAC: the older lease counts', async () => {
    const [older, newer] = [
      at(vxlanPeer(2, '02:00:00:00:00:0a'), 7),
      at(vxlanPeer(3, '02:00:00:00:00:0a'), 8),
    ];
    const expected = [
      LINK,
      ADDR,
      'neigh 10.5.2.0 lladdr 02:00:00:00:00:0a dev flannel.1',
      'fdb 02:00:00:00:00:0a dst 192.168.77.2 dev flannel.1',
      'route 10.5.2.0/24 via 10.5.2.0 dev flannel.1 onlink',
    ];
    expect(await text('vxlan', {}, [older, newer])).toEqual(expected);
    expect(await text('vxlan', {}, [newer, older])).toEqual(expected);
  });
});

describe('udp', () => {
  it('udp leads the subnets of peers to its device, and no other part of the network', async () => {
    const peers = [peer('10.5.2.0/24', '192.168.77.2', 'udp'), peer('10.5.128.0/24', '192.168.77.3', 'udp')];
    expect(await text('udp', {}, peers)).toEqual([
      'link tun flannel0 mtu 1472',
      'addr 10.5.1.0/32 dev flannel0',
      'route 10.5.2.0/24 dev flannel0',
      'route 10.5.128.0/24 dev flannel0',
    ]);
  });
});

describe('the MTU of containers', () => {
  it.each([
    ['alloc', {}, 1500, 1500],
    ['host-gw', {}, 1500, 1500],
    ['host-gw', {}, 9000, 9000],
    ['vxlan', {}, 1500, 1450],
    ['vxlan', {}, 9000, 8950],
    ['vxlan', { MTU: 1400 }, 9000, 1350],
    // The kernel refuses a device that is larger than its underlay.
    ['vxlan', { MTU: 9000 }, 1500, 1450],
    ['vxlan', { DirectRouting: true }, 1500, 1450],
  ])('the MTU of containers for %s %j over %d is %d', async (type, options, underlay, expected) => {
    const backend = await createBackend({ type, options }, 'test');
    const facts = hostFacts({ mtuBytes: underlay });
    expect(backend.mtuBytes(facts.underlay)).toBe(expected);
    const [link] = await plan(type, options, [], facts);
    if (link?.kind === 'link') expect(link.mtuBytes).toBe(expected);
  });
});

describe('the announcement', () => {
  const announce = async (vni: number, facts = hostFacts()): Promise<JsonValue | undefined> => {
    const backend = await createBackend({ type: 'vxlan', options: { VNI: vni } }, 'test');
    return announcement(backend, facts).backendData.ipv4;
  };

  it('only vxlan announces backend data, in flannel’s form', async () => {
    for (const type of ['alloc', 'host-gw', 'udp']) {
      const backend = await createBackend({ type, options: {} }, 'test');
      expect(announcement(backend, hostFacts()).backendData).toEqual({});
    }
    expect(JSON.stringify(await announce(1))).toBe('{"VNI":1,"VtepMAC":"0e:a9:e0:21:b6:4d"}');
  });

  it('vxlan announces the MAC of its device, the same in every run', async () => {
    expect(await announce(1)).toEqual(await announce(1));
    expect(await announce(1, hostFacts({ mtuBytes: 9000, name: 'ens3' }))).toEqual(await announce(1));
    const [link] = await plan('vxlan', {}, []);
    expect(link).toMatchObject({ type: 'vxlan', mac: '0e:a9:e0:21:b6:4d' });
  });

  it('the announced MAC differs by node, address and VNI, and is always unicast', async () => {
    const announced = await Promise.all([
      announce(1),
      announce(2),
      announce(1, hostFacts({ publicIP: '192.168.77.2' })),
      ...Array.from({ length: 500 }, (_, i) =>
        announce(1, hostFacts({ nodeId: (1_000 + i).toString(16).padStart(16, '0') })),
      ),
    ]);
    const macs = announced.map((data) => /"VtepMAC":"(.*?)"/.exec(JSON.stringify(data))?.[1] ?? '');
    expect(new Set(macs).size).toBe(macs.length);
    for (const mac of macs) {
      expect(mac).toMatch(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/);
      // Locally administered, and not a group.
      expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
    }
  });
});
