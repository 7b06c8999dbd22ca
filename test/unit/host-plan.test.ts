import { describe, expect, it } from 'vitest';
import { formatPlan, planOf } from '../../agent/host-plan.ts';
import type { Lease, NodeIdentity } from '../../agent/model/lease.ts';
import { readNetwork } from '../../backends/index.ts';
import { hostFacts, lease, leaseAttrs, prefix } from '../support/build.ts';

const NODE: NodeIdentity = hostFacts().node;
const FOUR = { Network: '10.5.0.0/16', SubnetMin: '10.5.10.0', SubnetMax: '10.5.13.0' };
const BACKEND = { Type: 'host-gw' };

/** The plan of a host at 192.168.77.1 with these leases in the store. */
async function plan(leases: readonly Lease[], previous?: string): Promise<string> {
  const { config, backend } = await readNetwork(JSON.stringify({ ...FOUR, Backend: BACKEND }), 'config', []);
  return formatPlan(
    planOf({
      options: { blackholeRoute: true },
      host: hostFacts(),
      config,
      backend,
      leases,
      previous: previous === undefined ? undefined : { ipv4: prefix(previous) },
      random: () => 0.5,
    }),
  );
}

describe('the plan of a host', () => {
  const peer = lease('10.5.10.0/24', leaseAttrs('192.168.77.2'));

  it.each([
    ['of its own', lease('10.5.11.0/24', leaseAttrs('192.168.77.1', { node: NODE })), 'ours'],
    [
      'that it had at another address',
      lease('10.5.11.0/24', leaseAttrs('192.168.77.9', { node: NODE })),
      'ours from before this host had another address, unless another host answers for it',
    ],
    [
      'that another node wrote at its address',
      lease(
        '10.5.11.0/24',
        leaseAttrs('192.168.77.1', { node: { id: '00000000000000bb', mac: undefined, name: 'h2' } }),
      ),
      'of node h2 at our address: ours unless that node answers for it',
    ],
  ])('the plan of a host shows the lease %s', async (_, own, how) => {
    expect(await plan([peer, own], '10.5.13.0/24')).toBe(
      `# network 10.5.0.0/16, backend host-gw, subnet 10.5.11.0/24 (${how}), mtu 1500\n` +
        'route 10.5.10.0/24 via 192.168.77.2 dev eth0\nroute blackhole 10.5.11.0/24\n',
    );
  });

  it('the plan of a host shows its own lease rather than that of a node at its address', async () => {
    const own = lease('10.5.11.0/24', leaseAttrs('192.168.77.9', { node: NODE }));
    const other = lease(
      '10.5.12.0/24',
      leaseAttrs('192.168.77.1', { node: { ...NODE, id: '00000000000000bb' } }),
    );
    expect(await plan([own, other])).toContain(
      'subnet 10.5.11.0/24 (ours from before this host had another address',
    );
  });

  it('the plan of a host shows its previous subnet that a clone may have, and no other lease of a clone', async () => {
    const node = { ...NODE, mac: '02:00:00:00:00:09', name: 'h9' };
    const clone = lease('10.5.11.0/24', leaseAttrs('192.168.77.9', { node }));
    expect(await plan([clone], '10.5.11.0/24')).toContain(
      'subnet 10.5.11.0/24 (the previous one, of node h9 with our machine id at another address: ours unless that node answers for it), mtu',
    );
    expect(await plan([clone], '10.5.12.0/24')).toContain(
      'subnet 10.5.12.0/24 (free; this command does not claim it)',
    );
  });

  it.each([
    ['the previous subnet where it is free', '10.5.13.0/24', '10.5.13.0/24'],
    ['another subnet where the previous one is taken', '10.5.10.0/24', '10.5.12.0/24'],
  ])('the plan of a host shows %s', async (_, previous, subnet) => {
    expect(await plan([peer], previous)).toContain(
      `subnet ${subnet} (free; this command does not claim it), mtu`,
    );
  });

  it('the plan of a host names the holders of a full network', async () => {
    const others = [10, 11, 12, 13].map((n) => lease(`10.5.${n}.0/24`, leaseAttrs(`192.168.77.${n}`)));
    await expect(plan(others)).rejects.toMatchObject({
      code: 'exhausted',
      message: expect.stringContaining('all 4 subnets from 10.5.10.0 to 10.5.13.0/24 are taken'),
      hint: expect.stringContaining('enlarge Network'),
    });
  });
});
