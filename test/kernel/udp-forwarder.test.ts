// Two forwarders on the real kernel, between the namespaces of two hosts:
//
//     10.5.1.0 flannel0 ─ forwarder ─ u 192.168.77.1 ══ 192.168.77.2 u ─ forwarder ─ flannel0 10.5.2.0
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import type { ForwarderEndOptions } from '../lab/forwarder-end.ts';
import { labProgram } from '../lab/paths.ts';
import type { TransferReport } from '../lab/transfer.ts';
import { needsNetns, title } from '../support/needs.ts';
import { createNetns, type Netns } from './netns.ts';

const need = needsNetns('ping', 'ss');
const MTU = 1_472;
const MEGABYTES = 64;

type Counters = Readonly<Record<string, number>>;
type Host = 1 | 2;

/** A forwarder in a namespace; its answers are lines of JSON. */
class End implements AsyncDisposable {
  readonly netns: Netns;
  readonly ready: Promise<Record<string, unknown>>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(netns: Netns, options: ForwarderEndOptions) {
    this.netns = netns;
    const [node, program] = labProgram('forwarder-end');
    const inside = [`--net=/run/netns/${netns.name}`, '--', node, program, JSON.stringify(options)];
    this.#child = spawn('nsenter', inside);
    this.#child.stderr.on('data', (text: Buffer) => {
      this.#errors += text.toString();
    });
    this.#child.stdin.on('error', () => undefined);
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.ready = this.next();
  }

  async next(): Promise<Record<string, unknown>> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`the forwarder's program ended: ${this.#errors}`);
    return JSON.parse(line.value) as Record<string, unknown>;
  }

  async ask(what: 'peers' | 'counters'): Promise<Record<string, unknown>> {
    this.#child.stdin.write(`${what}\n`);
    return this.next();
  }

  async stop(): Promise<Record<string, unknown>> {
    this.#child.stdin.end();
    return this.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
  }
}

interface Bed extends AsyncDisposable {
  readonly ends: Readonly<Record<Host, End>>;
  counters(host: Host): Promise<Counters>;
}

async function createBed(options: Partial<ForwarderEndOptions> = {}): Promise<Bed> {
  // Given back in the reverse order, also where the next one fails.
  const made: AsyncDisposable[] = [];
  const dispose = async (): Promise<void> => {
    for (const one of made.splice(0).reverse()) await one[Symbol.asyncDispose]();
  };
  try {
    const first = await createNetns('h1');
    made.push(first);
    const second = await createNetns('h2');
    made.push(second);
    const [near, far] = [first.name, second.name];
    await exec('ip', ['link', 'add', 'u', 'netns', near, 'type', 'veth', 'peer', 'name', 'u', 'netns', far]);
    const start = async (netns: Netns, host: Host): Promise<End> => {
      const peer = 3 - host;
      await netns.exec('ip', 'addr', 'add', `192.168.77.${host}/24`, 'dev', 'u');
      await netns.exec('ip', 'link', 'set', 'u', 'up');
      const end = new End(netns, {
        address: `192.168.77.${host}`,
        network: '10.5.0.0/16',
        subnet: `10.5.${host}.0/24`,
        mtuBytes: MTU,
        peers: [{ subnet: `10.5.${peer}.0/24`, publicAddress: `192.168.77.${peer}` }],
        ...options,
      });
      made.push(end);
      await end.ready;
      return end;
    };
    const ends = { 1: await start(first, 1), 2: await start(second, 2) };
    return {
      ends,
      counters: async (host) => (await ends[host].ask('counters')) as Counters,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

// Bytes with a checksum, from one host to the other.
async function transfer(
  bed: Bed,
  from: Host,
  maxSegment?: number,
): Promise<{ sent: TransferReport; received: TransferReport }> {
  const to: Host = from === 1 ? 2 : 1;
  const [node, program] = labProgram('transfer-end');
  const sender = bed.ends[from].netns;
  const receiver = bed.ends[to].netns;
  const route = ['route', 'replace', '10.5.0.0/16', 'dev', 'flannel0'];
  if (maxSegment !== undefined) await receiver.exec('ip', ...route, 'advmss', String(maxSegment));
  const options = { timeoutMs: 30_000 };
  const sending = sender.run(
    node,
    [program, 'send', '5201', 'sha256', 'bytes', String(MEGABYTES << 20)],
    options,
  );
  for (let i = 0; i < 200; i++) {
    if ((await sender.exec('ss', '-Htln', 'sport', '=', ':5201')).includes('5201')) break;
  }
  const receive = [program, 'receive', '5201', `10.5.${from}.0`, 'sha256'];
  const receiving = receiver.run(node, receive, options);
  const report = ({ stdout, stderr }: Awaited<typeof sending>): TransferReport => {
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as TransferReport;
  };
  // Either end may report the fault.
  const [received, sent] = await Promise.all([receiving.then(report), sending.then(report)]);
  if (maxSegment !== undefined) await receiver.exec('ip', ...route);
  return { sent, received };
}

// IPv6 sends packets on every new link.
function drops(counters: Counters): string[] {
  return Object.entries(counters)
    .filter(([name, count]) => name.startsWith('dropped_') && name !== 'dropped_version' && count > 0)
    .map(([name, count]) => `${name} ${count}`);
}

async function ping(bed: Bed, from: Host, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await bed.ends[from].netns.run('ping', ['-n', '-c1', '-W2', ...args]);
  return stdout + stderr;
}

const MODES = [
  ['with all that the kernel can do', {}],
  ['without runs of the TUN device', { runs: false }],
  ['without segmentation', { segmentation: false }],
  ['without coalescing', { coalescing: false }],
  ['without any of it', { runs: false, segmentation: false, coalescing: false }],
] as const;

describe.skipIf(need.missing)(title('two forwarders', need), () => {
  it.each(MODES)('two forwarders carry TCP both ways, to the byte, %s', async (_, options) => {
    await using bed = await createBed(options);
    for (const from of [1, 2] as const) {
      const { sent, received } = await transfer(bed, from);
      expect(received.bytes).toBe(MEGABYTES << 20);
      expect(received.sha256).toBe(sent.sha256);
    }
    const counters = await bed.counters(2);
    expect(drops(counters)).toEqual([]);
    expect(drops(await bed.counters(1))).toEqual([]);
    // A virtual link delivers a run only if it was sent as one.
    const comesInRuns = !('coalescing' in options || 'segmentation' in options);
    expect(Number(counters['received_coalesced_messages']) > 0).toBe(comesInRuns);
    expect(Number(counters['tun_written_runs']) > 0).toBe(!('runs' in options));
  });

  it.each([90, 536, 1_399])('two forwarders carry TCP in segments of %i bytes', async (maxSegment) => {
    await using bed = await createBed();
    const { sent, received } = await transfer(bed, 1, maxSegment);
    expect(received.sha256).toBe(sent.sha256);
    const { sent_packets: packets = 0 } = await bed.counters(1);
    expect(packets).toBeGreaterThan((MEGABYTES << 20) / maxSegment);
  });

  it.each(MODES)('two forwarders carry packets of all sizes %s', async (_, options) => {
    await using bed = await createBed(options);
    for (const size of [0, 1, 2, 3, 16, 57, 1_000, 1_443, 1_444]) {
      expect(await ping(bed, 1, '-M', 'do', '-s', String(size), '10.5.2.0')).toContain('1 received');
    }
    for (const size of [1_445, 5_000, 20_001, 65_000]) {
      expect(await ping(bed, 2, '-M', 'dont', '-s', String(size), '10.5.1.0')).toContain('1 received');
    }
    expect(drops(await bed.counters(1))).toEqual([]);
  });

  it('each forwarder takes one hop, and reports a packet without one', async () => {
    await using bed = await createBed();
    expect(await ping(bed, 1, '-t', '1', '10.5.2.0')).toContain(
      'From 10.5.0.0 icmp_seq=1 Time to live exceeded',
    );
    expect(await ping(bed, 1, '-t', '2', '10.5.2.0')).toContain(
      'From 10.5.2.0 icmp_seq=1 Time to live exceeded',
    );
    expect(await ping(bed, 1, '-t', '3', '10.5.2.0')).toContain('1 received');
    expect(await ping(bed, 1, '10.5.2.0')).toContain('ttl=62');
  });

  it('a forwarder reports an unassigned address, also to a host that checks source addresses', async () => {
    await using bed = await createBed();
    await bed.ends[1].netns.exec('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1');
    expect(await ping(bed, 1, '10.5.9.9')).toContain('From 10.5.0.0 icmp_seq=1 Destination Net Unreachable');
  });

  it('a forwarder reports the MTU of the path, and fragments packets that allow it', async () => {
    await using bed = await createBed();
    await bed.ends[1].netns.exec('ip', 'link', 'set', 'u', 'mtu', '1300');
    expect(await ping(bed, 1, '-M', 'do', '-s', '1444', '10.5.2.0')).toContain(
      'Frag needed and DF set (mtu = 1272)',
    );
    expect(await ping(bed, 1, '-M', 'dont', '-s', '6000', '10.5.2.0')).toContain('1 received');
    const { sent, received } = await transfer(bed, 1);
    expect(received.sha256).toBe(sent.sha256);
    expect((await bed.counters(1))['icmp_too_big']).toBeGreaterThan(0);
  });

  it('a forwarder reaches a peer behind a router whose next link is narrower', async () => {
    await using bed = await createBed();
    await using router = await createNetns('router');
    const [near, far] = [bed.ends[1].netns, bed.ends[2].netns];
    await far.exec('ip', 'link', 'set', 'u', 'name', 'near', 'netns', router.name);
    const link = ['link', 'add', 'far', 'mtu', '1300', 'type', 'veth', 'peer', 'name', 'u', 'mtu', '1300'];
    await router.exec('ip', ...link, 'netns', far.name);
    await far.exec('ip', 'addr', 'add', '192.168.77.2/24', 'dev', 'u');
    await far.exec('ip', 'link', 'set', 'u', 'up');
    for (const [host, side] of [
      [1, 'near'],
      [2, 'far'],
    ] as const) {
      await router.exec('ip', 'link', 'set', side, 'up');
      await router.exec('ip', 'route', 'add', `192.168.77.${host}`, 'dev', side);
      await router.exec('sysctl', '-qw', `net.ipv4.conf.${side}.proxy_arp=1`);
    }
    await router.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    await near.exec('ip', 'neigh', 'flush', 'dev', 'u');
    expect(await ping(bed, 1, '-M', 'do', '-s', '1444', '10.5.2.0')).toContain('1 received');
    const { sent, received } = await transfer(bed, 1);
    expect(received.sha256).toBe(sent.sha256);
  });

  it('two forwarders stop within a moment, and take little memory', async () => {
    await using bed = await createBed();
    await transfer(bed, 1);
    const stopped = await bed.ends[2].stop();
    expect(stopped['tookMs']).toBeLessThan(300);
    expect(stopped['rssBytes']).toBeLessThan(90 * 2 ** 20);
  });

  it('a forwarder fails within a second when its device is deleted', async () => {
    await using bed = await createBed();
    const failed = bed.ends[1].next();
    const start = performance.now();
    await bed.ends[1].netns.exec('ip', 'link', 'del', 'flannel0');
    expect((await failed)['failed']).toMatch(/^the forwarder ended: .*TUN device/);
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  it('traffic is undisturbed when peers are handed over repeatedly', async () => {
    await using bed = await createBed();
    const { netns } = bed.ends[1];
    let isDone = false;
    const churn = (async () => {
      while (!isDone) await bed.ends[1].ask('peers');
    })();
    const { stdout } = await netns.run('ping', ['-n', '-q', '-c500', '-i', '0.002', '10.5.2.0']);
    isDone = true;
    await churn;
    expect(stdout).toContain('500 received');
    expect((await bed.counters(1))['peer_updates']).toBeGreaterThan(100);
  });
});
