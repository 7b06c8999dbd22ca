// Changes by others to a host's kernel, and failures of the kernel itself.
import { type HostObject, keyOf } from '../../../agent/model/host-state.ts';
import type { Cluster } from '../cluster.ts';
import type { Host } from '../host.ts';
import { aWhile, type Fault, onHost } from './fault.ts';

const REFUSAL_MS = 60_000;

export const KERNEL_FAULTS: readonly Fault[] = [
  onHost('objects vanish', (host, cluster) => {
    for (const object of some(host, cluster)) host.kernel.vanish(keyOf(object));
  }),
  onHost('objects are changed', (host, cluster) => {
    for (const object of some(host, cluster)) host.kernel.intrude(changed(object, cluster));
  }),
  onHost('objects appear', (host, cluster) => {
    const dev = linkOf(host) ?? 'eth0';
    const n = Math.floor(cluster.random() * 250);
    const strangers: readonly HostObject[] = [
      {
        kind: 'route',
        type: 'unicast',
        dst: `10.5.${n}.0/24`,
        via: '192.168.77.99',
        dev: 'eth0',
        onlink: false,
      },
      {
        kind: 'route',
        type: 'blackhole',
        dst: `10.5.${n}.0/24`,
        via: undefined,
        dev: undefined,
        onlink: false,
      },
      { kind: 'route', type: 'unicast', dst: `10.5.${n}.128/25`, via: undefined, dev, onlink: false },
    ];
    const onLink: readonly HostObject[] = [
      { kind: 'addr', prefix: `10.5.${n}.7/32`, dev },
      { kind: 'neigh', address: `10.5.${n}.0`, mac: '02:11:22:33:44:55', dev },
      { kind: 'fdb', mac: '02:11:22:33:44:55', dst: '192.168.77.99', dev },
    ];
    host.kernel.intrude(cluster.pick(dev === 'eth0' ? strangers : [...strangers, ...onLink]));
  }),
  onHost('a device of an earlier configuration', ({ kernel }) =>
    kernel.intrude({
      kind: 'link',
      type: 'vxlan',
      name: 'flannel.99',
      vni: 99,
      port: 8472,
      mtuBytes: 1_450,
      mac: '02:00:00:00:00:99',
      local: '192.168.77.1',
      underlay: 'eth0',
      learning: false,
      gbp: false,
      up: true,
    }),
  ),
  onHost('the device is deleted', (host) => host.kernel.vanish(`link ${linkOf(host)}`)),
  onHost('the device is taken down', (host) => host.kernel.takeDown(linkOf(host) ?? '')),
  onHost('the kernel refuses a kind of object', async ({ kernel }, cluster, healed) => {
    kernel.refuse = cluster.pick([/^route/, /^neigh/, /^fdb/, /^link/, /^addr/, /10\.5\.\d*[05]\./, /^/]);
    await aWhile(cluster, REFUSAL_MS, healed);
    kernel.refuse = undefined;
  }),
  onHost('the rules are flushed', (host) => host.flushRules()),
];

function linkOf({ kernel }: Host): string | undefined {
  const link = kernel.objects().find(({ kind }) => kind === 'link');
  return link?.kind === 'link' ? link.name : undefined;
}

/** A random part of the objects of a host, at least one. */
function some({ kernel }: Host, cluster: Cluster): readonly HostObject[] {
  const objects = kernel.objects();
  if (objects.length === 0) return [];
  const share = cluster.random() ** 2;
  return [cluster.pick(objects), ...objects.filter(() => cluster.random() < share)];
}

function changed(object: HostObject, { random }: Cluster): HostObject {
  const n = Math.floor(random() * 250);
  switch (object.kind) {
    case 'link':
      return object.type === 'vxlan'
        ? { ...object, mtuBytes: 1_280 + n, ...(random() < 0.5 ? { vni: object.vni } : { port: 9_000 + n }) }
        : object;
    case 'route':
      return object.type === 'blackhole'
        ? object
        : { ...object, via: `192.168.77.${n}`, dev: 'eth0', onlink: false };
    case 'neigh':
      return { ...object, mac: `02:00:00:00:01:${(n % 100).toString().padStart(2, '0')}` };
    case 'fdb':
      return { ...object, dst: `192.168.77.${n}` };
    case 'addr':
      return { ...object, prefix: `10.5.${n}.3/32` };
  }
}
