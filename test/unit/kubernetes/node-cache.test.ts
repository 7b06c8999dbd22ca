// The file of the Nodes as they were seen last: what is written is read back, and nothing else is believed.
import { chmod, chown, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBell } from '../../../agent/base/bell.ts';
import { type CachedNodes, keepNodes, nodeCache } from '../../../agent/kubernetes/node-cache.ts';
import { formatPeer, readPeer } from '../../../agent/kubernetes/node-lease.ts';
import type { NodeObject } from '../../../agent/kubernetes/node-object.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';

const node = (name: string, number: number): NodeObject => ({
  name,
  uid: `uid-${name}`,
  resourceVersion: '0',
  createdMs: 1_700_000_000_000,
  podCidrs: [`10.244.${number}.0/24`],
  annotations: {
    'kube-subnet-manager': 'true',
    'backend-type': 'vxlan',
    'backend-data': '{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:0f"}',
    'public-ip': `192.168.77.${number}`,
  },
  networkUnavailable: undefined,
});
const NODES: CachedNodes = { version: 77, own: node('n1', 1), peers: [node('n2', 2), node('n3', 3)] };

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-node-cache-'));
  path = join(folder, 'nodes.json');
});
afterEach(() => rm(folder, { recursive: true }));
const cacheOf = (nodeName = 'n1', config = '{}') => nodeCache({ path, nodeName, settings: ['p', config] });

describe('the file of Nodes', () => {
  it('gives back all that was written, for our user alone', async () => {
    await cacheOf().write({
      ...NODES,
      own: { ...NODES.own, resourceVersion: '9', networkUnavailable: 'False' },
    });
    expect(await cacheOf().read()).toEqual(NODES);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('is none where its folder is missing', async () => {
    const missing = nodeCache({ path: join(folder, 'x/nodes.json'), nodeName: 'n1', settings: ['p', '{}'] });
    await missing.write(NODES);
    expect(await missing.read()).toBeUndefined();
    await expect(stat(join(folder, 'x'))).rejects.toThrow('ENOENT');
  });

  it.each([
    ['of another Node', () => cacheOf('n2').read(), 'it is of another Node'],
    ['of another network', () => cacheOf('n1', '{"x":1}').read(), 'it is of another network configuration'],
    ['that others may read', async () => (await chmod(path, 0o644), cacheOf().read()), 'its mode is 644'],
    [
      'that a link leads to',
      async () => {
        await symlink(path, join(folder, 'link'));
        return nodeCache({ path: join(folder, 'link'), nodeName: 'n1', settings: ['p', '{}'] }).read();
      },
      'it is a symbolic link',
    ],
  ])('is not believed: %s', async (_, read, reason) => {
    await cacheOf().write(NODES);
    await expect(read()).rejects.toThrow(reason);
  });

  it.skipIf(process.getuid?.() !== 0)("is not believed: another user's", async () => {
    await cacheOf().write(NODES);
    await chown(path, 65_534, 65_534);
    await expect(cacheOf().read()).rejects.toThrow('its owner is user 65534');
  });

  it('is not believed where it is cut, too long, of another form, or has a value of another kind', async () => {
    await cacheOf().write(NODES);
    const text = await readFile(path, 'utf8');
    const wrong = [
      text.slice(0, -20),
      '',
      'null',
      text.padEnd(4_194_305),
      text.replace('"format":1', '"format":2'),
      text.replace('"uid":"uid-n3"', '"uid":3'),
      text.replace('["10.244.3.0/24"]', JSON.stringify(Array.from({ length: 5 }, () => '10.244.3.0/24'))),
      text.replace('"public-ip"', '"foreign"'),
      text.replace('"uid":"uid-n2"', `"uid":"${'x'.repeat(9_000)}"`),
    ];
    for (const each of wrong) {
      await writeFile(path, each, { mode: 0o600 });
      await expect(cacheOf().read(), each.slice(0, 200)).rejects.toThrow(path);
    }
  });

  it('is written a second after a change, and then once a minute; a failure is logged once', async () => {
    const clock = createVirtualClock();
    const changed = createBell(clock);
    const { lines, log } = captureLog('kubernetes');
    const controller = new AbortController();
    let known: CachedNodes | undefined;
    let writes = 0;
    let failure: Error | undefined;
    const write = async (): Promise<void> => {
      writes += 1;
      if (failure !== undefined) throw failure;
    };
    const keeping = keepNodes(
      { cache: { write }, changed, nodes: () => known, clock, log },
      controller.signal,
    );
    const pass = async (ms: number): Promise<void> => {
      await clock.settle();
      await clock.advance(ms);
      await clock.settle();
    };
    changed.ring();
    await pass(1_000);
    expect(writes).toBe(0);
    known = NODES;
    await pass(60_000);
    changed.ring();
    await pass(1_000);
    expect(writes).toBe(1);
    for (let turn = 0; turn < 60; turn++) {
      changed.ring();
      await pass(1_000);
    }
    await pass(1_000);
    expect(writes).toBe(2);
    failure = new Error('no space left');
    for (let turn = 0; turn < 3; turn++) {
      changed.ring();
      await pass(61_000);
    }
    expect(lines).toEqual([
      expect.stringContaining('cannot keep the Nodes for the next boot: no space left'),
    ]);
    controller.abort();
    await keeping;
  });
});

describe('a Node of a lease', () => {
  it.each<[string, Partial<NodeObject['annotations']>]>([
    ['vxlan', {}],
    ['host-gw', { 'backend-type': 'host-gw', 'backend-data': 'null' }],
    ['udp', { 'backend-type': '', 'backend-data': 'null' }],
    ['extension', { 'backend-type': 'extension', 'backend-data': '"<a>&b"' }],
  ])('of %s is read as that lease again', (_, annotations) => {
    const lease = readPeer({
      ...node('n2', 2),
      annotations: { ...node('n2', 2).annotations, ...annotations },
    });
    if (lease === undefined || 'reason' in lease) throw new Error('no lease');
    expect(readPeer(formatPeer(lease))).toEqual(lease);
  });
});
