// A program: one host's forwarder of the udp backend, with a TUN device and a socket of its own, without an agent.
//
//     node forwarder-end.js JSON      a ForwarderEndOptions
//
// It prints one JSON object a line: first that it is ready, then an answer to each line of its input: `peers` hands the
// peers over again, `counters` shows the counters. It reports a failure of the forwarder. It stops when its input ends.
import { execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { openTun, openUdpSocket } from 'dgram-native';
import { type Prefix, parsePrefix } from '../../agent/model/ip.ts';
import { startForwarder } from '../../backends/udp/forwarder-control.ts';
import { monotonicMs } from './process.ts';

export interface ForwarderEndOptions {
  readonly address: string;
  readonly network: string;
  readonly subnet: string;
  readonly mtuBytes: number;
  readonly peers: readonly { readonly subnet: string; readonly publicAddress: string }[];
  /** Offloads that the kernel may do for it; default: all of them. */
  readonly runs?: boolean;
  readonly segmentation?: boolean;
  readonly coalescing?: boolean;
}

const DEVICE = 'flannel0';
const PORT = 8285;

const options = JSON.parse(process.argv[2] ?? '') as ForwarderEndOptions;
const prefix = (text: string): Prefix => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
};
const say = (what: unknown): void => {
  process.stdout.write(`${JSON.stringify(what)}\n`);
};

const { runs = true, segmentation = true, coalescing = true } = options;
const subnet = prefix(options.subnet);
const tun = openTun({ name: DEVICE, runs });
const socket = openUdpSocket({
  address: options.address,
  port: PORT,
  segmentation,
  coalescing,
  receiveBufferBytes: 2 ** 22,
  sendBufferBytes: 2 ** 22,
});
for (const args of [
  ['addr', 'add', `${subnet.address}/32`, 'dev', DEVICE],
  ['link', 'set', DEVICE, 'mtu', String(options.mtuBytes), 'up'],
  ['route', 'add', options.network, 'dev', DEVICE],
]) {
  execFileSync('ip', args);
}
const network = prefix(options.network);
const forwarder = startForwarder({ tun, socket, port: PORT, network, subnet });
const peers = options.peers.map((peer) => ({ ...peer, subnet: prefix(peer.subnet) }));
const left = forwarder.setPeers(peers);
void forwarder.failed.then(({ message }) => say({ failed: message, atMs: monotonicMs() }));
const { tcpRuns, udpRuns } = tun;
say({ ready: true, left, tcpRuns, udpRuns, canSegment: socket.canSegment, canCoalesce: socket.canCoalesce });

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'peers') say({ left: forwarder.setPeers(peers) });
  else say(forwarder.counters());
}
const startMs = monotonicMs();
await forwarder.stop();
say({ stopped: true, tookMs: monotonicMs() - startMs, rssBytes: process.memoryUsage.rss() });
socket[Symbol.dispose]();
tun[Symbol.dispose]();
