// A holder beside a Node that the test writes, as the API would keep it, in virtual time.
import { onTestFinished } from 'vitest';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import { NodeHolder, type NodeHolderDeps } from '../../../agent/kubernetes/node-holder.ts';
import type { NodeObject } from '../../../agent/kubernetes/node-object.ts';
import type { OwnListener } from '../../../agent/kubernetes/node-watch.ts';
import type { Prefix } from '../../../agent/model/ip.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { OwnAttrs } from '../../../agent/model/lease-holder.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { leaseAttrs } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';
import { nodeObject } from '../../support/node-object.ts';

export const CONFIG = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';
const DATA = { VNI: 1, VtepMAC: '02:00:00:00:00:02' };

/** Our announcement at an address, and the annotations that say the same. */
export function ownAttrs(publicIP = '192.168.77.2'): OwnAttrs {
  const node = { id: '00000000000000aa', mac: undefined, name: 'h1' };
  return { ...leaseAttrs(publicIP, { backendType: 'vxlan', data: DATA }), node };
}

export interface HolderBed {
  readonly clock: VirtualClock;
  readonly holder: NodeHolder;
  readonly lines: readonly string[];
  /** The own Node as the API keeps it. */
  readonly node: NodeObject | undefined;
  /** The calls of the writer: the ends of names with values, or `available`. */
  readonly writes: readonly unknown[];
  /** Calls of `onChange`. */
  readonly changes: number;
  /** Somebody writes the own Node, and the watch tells of it; undefined: deletes it. */
  put(changes: Partial<NodeObject> | undefined): Promise<void>;
  /** From now on the writer fails so; undefined: it works. */
  refuse(error: ApiError | undefined): void;
  /** From now on the watch tells nothing of our writes. */
  lag(): void;
  readonly reason: () => string | undefined;
  readonly subnet: () => string | undefined;
}

interface BedOptions {
  /** Undefined: there is no Node. */
  readonly node?: Partial<NodeObject> | undefined;
  readonly leases?: readonly Lease[];
  readonly spared?: readonly Prefix[];
  readonly setsAvailable?: boolean;
}

/** A holder that runs until the test ends. */
export async function holderBed(options: BedOptions = {}): Promise<HolderBed> {
  const clock = createVirtualClock();
  const { log, lines } = captureLog('lease');
  let version = 100;
  let node = 'node' in options ? options.node && nodeObject({}, options.node) : nodeObject({});
  let told = node;
  let listener: OwnListener = () => undefined;
  let error: ApiError | undefined;
  let lags = false;
  const writes: unknown[] = [];
  const tell = (): void => {
    told = node;
    listener(node);
  };
  const write = async (what: unknown, changes: (before: NodeObject) => Partial<NodeObject>) => {
    writes.push(what);
    await clock.sleep(10);
    if (error !== undefined) throw error;
    if (node === undefined) throw new ApiError('not-found', 'cannot patch nodes/status: HTTP status 404');
    version += 1;
    node = { ...node, ...changes(node), resourceVersion: String(version) };
    if (!lags) void clock.sleep(5).then(tell);
    return node;
  };
  const deps: NodeHolderDeps = {
    nodeName: 'n1',
    source: {
      get own() {
        return told;
      },
      listen(next) {
        listener = next;
      },
    },
    writer: {
      annotate: (changes) =>
        write(changes, (before) => ({ annotations: { ...before.annotations, ...changes } })),
      setAvailable: () => write('available', () => ({ networkUnavailable: 'False' })),
    },
    setsAvailable: options.setsAvailable ?? true,
    clock,
    random: () => 0.5,
    log,
    config: parseNetworkConfig(CONFIG, 'net-conf.json'),
    attrs: ownAttrs(),
    known: { leases: options.leases ?? [], config: CONFIG },
    spared: () => options.spared ?? [],
  };
  const holder = new NodeHolder(deps);
  const end = new AbortController();
  let changes = 0;
  const running = (async () => {
    await holder.acquire(undefined, end.signal);
    await holder.run(() => {
      changes += 1;
    }, end.signal);
  })().catch((thrown: unknown) => {
    if (!end.signal.aborted) throw thrown;
  });
  onTestFinished(async () => {
    end.abort();
    await running;
  });
  await clock.advance(100);
  return {
    clock,
    holder,
    lines,
    get node() {
      return node;
    },
    writes,
    get changes() {
      return changes;
    },
    async put(next) {
      version += 1;
      const resourceVersion = String(version);
      node = next && { ...(node ?? nodeObject({})), ...next, resourceVersion };
      tell();
      await clock.advance(100);
    },
    refuse(next) {
      error = next;
    },
    lag() {
      lags = true;
    },
    reason: () => holder.conditions()[0]?.reason,
    subnet: () => {
      const { ipv4 } = holder.subnets ?? {};
      return ipv4 && `${ipv4.address}/${ipv4.length}`;
    },
  };
}
