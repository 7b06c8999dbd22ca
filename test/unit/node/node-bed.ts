// Whole nodes on a store in memory and kernels in memory, in virtual time.
import { TwillError } from '../../../agent/base/errors.ts';
import { createLogger } from '../../../agent/base/log.ts';
import { createKvLeaseStore } from '../../../agent/datastore/kv-lease-store.ts';
import { KvLeaseHolder } from '../../../agent/lease/kv-lease-holder.ts';
import type { FirewallRules } from '../../../agent/model/firewall.ts';
import { formatPrefix } from '../../../agent/model/ip.ts';
import type { Kv } from '../../../agent/model/kv.ts';
import type { HolderInput, LeaseHolder } from '../../../agent/model/lease-holder.ts';
import { Node } from '../../../agent/node/node.ts';
import { createBackend } from '../../../backends/index.ts';
import { createMemoryFirewall } from '../../fakes/memory-firewall.ts';
import { createMemoryHandOff } from '../../fakes/memory-hand-off.ts';
import { createMemoryKernel, type MemoryKernel } from '../../fakes/memory-kernel.ts';
import { createMemoryStore, type MemoryKv, type MemoryStore } from '../../fakes/memory-kv.ts';
import { createMemoryTunnelFilter } from '../../fakes/memory-tunnel-filter.ts';
import { OPEN_HOST } from '../../fakes/open-host.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { hostFacts, prefix } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';

export const PREFIX = '/coreos.com/network';
export const CONFIG = JSON.stringify({
  Network: '10.5.0.0/16',
  SubnetMax: '10.5.9.0',
  Backend: { Type: 'host-gw' },
});

/** The value of a lease that another node holds. */
export const OTHERS = JSON.stringify({ PublicIP: '192.168.77.9', BackendType: 'host-gw' });

export interface TestHost {
  readonly kv: MemoryKv;
  readonly kernel: MemoryKernel;
  readonly node: Node;
  /** Why it is not ready, or `ready`. */
  readonly reason: () => string;
  readonly lines: string[];
  /** Its underlay has that address from now on. No event reports it. */
  readonly readdress: (to: string) => void;
  /** It has that host name from now on. No event reports it. */
  readonly rename: (to: string) => void;
  /** As if the machine had been suspended: no timer ran. */
  readonly suspend: (ms: number) => void;
  /** Our own subnet as handed off last. */
  readonly handedOff: () => string | undefined;
  /** The subnet in which an engine starts containers. */
  readonly gate: () => string | undefined;
  /** Whether the firewall refuses our rules from now on. */
  readonly refuseRules: (refuses: boolean) => void;
  /** Calls of `onReady` so far. */
  readonly toldReady: () => number;
  /** Whether handing off fails from now on. */
  readonly refuseHandOff: (refuses: boolean) => void;
  /** From now on the kernel can be read. */
  readonly answerKernel: () => void;
  /** The firewall's rules; undefined: none. */
  readonly rules: () => FirewallRules | undefined;
  /** Subnets that a route leads to, sorted. */
  readonly routes: () => string[];
}

export interface NodeBed {
  readonly clock: VirtualClock;
  readonly store: MemoryStore;
  /** A handle of the test's own. */
  readonly kv: MemoryKv;
  /**
   * Starts the node number `n`, which had 10.5.`n`.0/24 before, and waits until it is ready. `wrap` puts something
   * between it and the store; the kernel may not answer until `answerKernel`, and then it is not waited for. `holder`
   * holds its lease; default: it claims one in the store.
   */
  readonly start: (
    n: number,
    wrap?: (kv: Kv) => Kv,
    kernelAnswers?: boolean,
    holder?: LeaseHolder | ((input: HolderInput) => LeaseHolder),
    refusesRulesAtFirst?: boolean,
  ) => Promise<TestHost>;
  readonly writeConfig: (text: string) => Promise<void>;
}

/** Runs `work` with a store that has a network configuration; all nodes end with it. */
export async function nodeBed(work: (bed: NodeBed) => Promise<void>): Promise<void> {
  const clock = createVirtualClock();
  const store = createMemoryStore(clock);
  const kv = store.open();
  const end = new AbortController();
  const running: Promise<void>[] = [];

  const start: NodeBed['start'] = async (
    n,
    wrap,
    kernelAnswers = true,
    holder,
    refusesRulesAtFirst = false,
  ) => {
    const own = store.open();
    const kernel = createMemoryKernel({ name: 'eth0', prefix: '192.168.77.0/24' });
    const read = kernel.read.bind(kernel);
    if (!kernelAnswers) kernel.read = () => Promise.reject(new TwillError('host', 'cannot read routes'));
    const { log, lines } = captureLog('twill', 'debug');
    const random = seededRandom(n);
    let suspendedMs = 0;
    const handOff = createMemoryHandOff();
    const firewall = createMemoryFirewall('iptables');
    let refusesRules = refusesRulesAtFirst;
    let toldReady = 0;
    let refusesHandOff = false;
    let address = `192.168.77.${n}`;
    let name = `h${n}`;
    const leases = createKvLeaseStore(wrap?.(own) ?? own, {
      prefix: PREFIX,
      clock,
      random,
      log,
      configHint: '',
    });
    const node = new Node(
      {
        ipMasq: true,
        randomFully: true,
        forwardRules: true,
        tunnelFilter: true,
        ipForward: true,
        dockerDirect: true,
        blackholeRoute: false,
        firewallResyncSeconds: 5,
      },
      {
        clock: { ...clock, bootMs: () => clock.bootMs() + suspendedMs },
        random,
        log,
        kernel,
        leaseSource: leases,
        configSource: leases.config,
        createHolder: (input) =>
          (typeof holder === 'function' ? holder(input) : holder) ??
          new KvLeaseHolder({ ...input, store: leases, clock, random, renewMarginMinutes: 60 }),
        hostSource: {
          read: async () => ({
            ...hostFacts({ address }),
            node: { id: n.toString(16).padStart(16, '0'), mac: undefined, name },
          }),
          watch: async () => undefined,
        },
        hostChecks: OPEN_HOST,
        handOff: {
          name: handOff.name,
          previousSubnet: async () => prefix(`10.5.${n}.0/24`),
          async write(env) {
            if (refusesHandOff) throw new TwillError('host', 'cannot write subnet.env: no space');
            return handOff.write(env);
          },
          retract: (subnet) => handOff.retract(subnet),
        },
        dataPlaneMemory: { resumed: undefined, write: async () => undefined },
        openFirewall: async () => ({
          ...firewall,
          async ensure(rules) {
            if (refusesRules) throw new TwillError('host', 'cannot write the rules: no permission');
            return firewall.ensure(rules);
          },
        }),
        tunnelFilter: createMemoryTunnelFilter(),
        watchRuleset: async () => undefined,
        onReady: async () => {
          toldReady++;
        },
        onLarge: () => undefined,
      },
    );
    running.push(node.run(end.signal));
    await clock.advance(100);
    return {
      kv: own,
      kernel,
      node,
      reason: () => node.conditions()[0]?.reason ?? 'ready',
      lines,
      readdress: (to) => {
        address = to;
      },
      rename: (to) => {
        name = to;
      },
      suspend: (ms) => {
        suspendedMs += ms;
      },
      handedOff: () => handOff.env && formatPrefix(handOff.env.subnet),
      gate: () => handOff.gate && formatPrefix(handOff.gate),
      answerKernel: () => {
        kernel.read = read;
      },
      refuseRules: (refuses) => {
        refusesRules = refuses;
      },
      toldReady: () => toldReady,
      refuseHandOff: (refuses) => {
        refusesHandOff = refuses;
      },
      rules: () => firewall.rules,
      routes: () => [...kernel.print().matchAll(/^route (\S+) via/gm)].map(([, dst = '']) => dst).toSorted(),
    };
  };
  const writeConfig = async (text: string): Promise<void> => {
    await createKvLeaseStore(kv, {
      prefix: PREFIX,
      clock,
      random: seededRandom(1),
      log: createLogger('test', { level: 'error', format: 'text' }),
      configHint: '',
    }).config.write(text);
  };

  try {
    // Loading it takes real time, which the virtual clock does not count.
    for (const type of ['host-gw', 'vxlan']) await createBackend({ type, options: {} }, '');
    await writeConfig(CONFIG);
    await work({ clock, store, kv, start, writeConfig });
  } finally {
    end.abort();
    await Promise.allSettled(running);
  }
}
