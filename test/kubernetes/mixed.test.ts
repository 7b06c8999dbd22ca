// Clusters of the real flanneld and our agent by turns, beside a real API server: each reaches each, the Nodes say the
// same to the byte, and a node moves from one to the other and back.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFlanneld } from '../lab/flanneld.ts';
import { type ApiServer, startApiServer } from '../lab/kubernetes/api-server.ts';
import type { Host } from '../lab/lab.ts';
import { TWILL } from '../lab/paths.ts';
import { pingMatrix } from '../lab/ping.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, title } from '../support/needs.ts';
import { grant, LEAST_RIGHTS } from './bed.ts';
import {
  annotate,
  annotationsOf,
  NEEDS_HOSTS,
  type NodesBed,
  openNodes,
  readServed,
  removeNodes,
} from './hosts-bed.ts';

const flanneld = await readFlanneld();
const NEEDS = allOf(NEEDS_HOSTS, {
  missing: flanneld.missing !== undefined,
  reason: `needs ${flanneld.title}: ${flanneld.missing}`,
});
const READY_MS = 20_000;

const BACKENDS = {
  vxlan: { Type: 'vxlan' },
  'host-gw': { Type: 'host-gw' },
  udp: { Type: 'udp' },
} as const;

/** The text without what differs from host to host. */
const shape = (values: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value.replace(/[0-9a-f]{2}(:[0-9a-f]{2}){5}/, 'MAC').replace(/192\.168\.77\.\d+/, 'ADDRESS'),
    ]),
  );

const envOf = (host: Host): Promise<string> =>
  readFile(host.path('/run/flannel/subnet.env'), 'utf8').catch(() => '');

const macOf = async (host: Host): Promise<string> =>
  /link\/ether (\S+)/.exec((await host.namespace.exec(['ip', 'link', 'show', 'flannel.1'])).stdout)?.[1] ??
  '';

describe.skipIf(NEEDS.missing)(title('flanneld and our agent in one cluster', NEEDS), () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startApiServer();
    await grant(server, LEAST_RIGHTS);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const condition = async (host: Host): Promise<unknown> => {
    const { status } = await readServed(server, host.name);
    const found = status.conditions?.find(({ type }) => type === 'NetworkUnavailable');
    if (found === undefined) return undefined;
    const { lastHeartbeatTime: _, lastTransitionTime: __, ...rest } = found;
    return rest;
  };
  const startFlanneld = async (bed: NodesBed, host: Host) => {
    const started = bed.startFlanneld(host, flanneld);
    await waitFor(`flanneld of ${host.name} has announced itself`, READY_MS, async () => {
      if (!started.isRunning) throw new Error(await started.epitaph());
      const { 'kube-subnet-manager': mark } = await annotationsOf(server, host.name);
      return mark === 'true' && (await envOf(host)) !== '' && (await condition(host)) !== undefined;
    });
    return started;
  };
  const startTwill = async (bed: NodesBed, host: Host) => {
    const started = bed.startTwill(host);
    await started.waitReady(READY_MS);
    await waitFor('its condition', READY_MS, async () => (await condition(host)) !== undefined);
    return started;
  };

  it.each(['vxlan', 'host-gw', 'udp'] as const)(
    'carry packets each to each by %s, say the same, and move there and back',
    async (type) => {
      await removeNodes(server);
      await using bed = await openNodes({ server, hosts: 4, conf: { Backend: BACKENDS[type] } });
      const { hosts, folder } = bed.lab;
      for (const host of hosts) await bed.register(host);
      const [first, second] = [bed.lab.host(1), bed.lab.host(2)];
      const running = [];
      for (const [index, host] of hosts.entries())
        running.push(await (index % 2 === 0 ? startFlanneld(bed, host) : startTwill(bed, host)));
      const containers = [];
      for (const host of hosts) containers.push(await host.addContainer());
      const matrix = await pingMatrix(containers);
      expect(matrix.flat().filter((result) => result && result.received < result.sent)).toEqual([]);

      // The same words.
      const announced = await annotationsOf(server, first.name);
      expect(shape(await annotationsOf(server, second.name))).toEqual(shape(announced));
      expect(await condition(second)).toEqual(await condition(first));
      const env = await envOf(first);
      expect((await envOf(second)).replace('10.244.2.1', '10.244.1.1')).toBe(env);

      // flanneld → Twill → flanneld on the first host, while packets go both ways.
      const mac = await macOf(first);
      const [c1, c2] = containers;
      if (c1 === undefined || c2 === undefined) throw new Error('no containers');
      await using there = new PingStream(c1, c2, join(folder, 'there.log'));
      await using back = new PingStream(c2, c1, join(folder, 'back.log'));
      await Promise.all([there.flows(), back.flows()]);
      await running[0]?.stop();
      const ours = await startTwill(bed, first);
      await Promise.all([there.flows(), back.flows()]);
      expect([await macOf(first), await envOf(first), await annotationsOf(server, first.name)]).toEqual([
        mac,
        env,
        announced,
      ]);
      await ours.stop();
      // flanneld's one route is wider than ours, which would stay.
      if (type === 'udp') await first.namespace.run([...TWILL, 'cleanup', ...bed.flags]);
      await startFlanneld(bed, first);
      await Promise.all([there.flows(), back.flows()]);
      expect([await macOf(first), await envOf(first), await annotationsOf(server, first.name)]).toEqual([
        mac,
        env,
        announced,
      ]);
      const lost = [await there.lost(), await back.lost()];

      // The packets of udp go through the program that ends.
      if (type !== 'udp') expect(lost).toEqual([0, 0]);
    },
    120_000,
  );

  it('announce a network of alloc in the same words', async () => {
    await removeNodes(server);
    await using bed = await openNodes({ server, hosts: 1, conf: { Backend: { Type: 'alloc' } } });
    const host = bed.lab.host(1);
    await bed.register(host);
    const theirs = await startFlanneld(bed, host);
    const announced = await annotationsOf(server, host.name);
    const env = await envOf(host);
    await theirs.stop();
    await annotate(server, host.name, Object.fromEntries(Object.keys(announced).map((name) => [name, null])));
    await startTwill(bed, host);
    await expect.poll(() => annotationsOf(server, host.name), { timeout: READY_MS }).toEqual(announced);
    expect(await envOf(host)).toBe(env);
  });
});
