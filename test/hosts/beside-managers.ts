// Managers of networks and firewalls on two hosts, and the packets that flow between their containers meanwhile.
import { join } from 'node:path';
import { expect } from 'vitest';
import { PingStream } from '../lab/ping-stream.ts';
import { readManagedHosts } from '../lab/systemd/debian-hosts.ts';
import type { System } from '../lab/systemd/system.ts';
import { addContainer, type HostsBed, needsHosts, UNIT } from './bed.ts';

/** Debian 12 and 13 with all the managers. */
export const MANAGED = await readManagedHosts();
export const NEEDS_MANAGED = needsHosts(MANAGED);
export const ROWS = MANAGED.map((host) => [host.title, host] as const);

/** The longest time that packets may stay away. */
export const HEAL_MS = 1_000;
/** A ping stream sends a packet each 10 ms. */
export const HEAL_PACKETS: number = HEAL_MS / 10;

let streams = 0;

/** Starts a ping from the container of the first host to that of the second, which flows already. */
export async function openPings(bed: HostsBed): Promise<PingStream> {
  const [one, two] = await Promise.all(bed.systems.map(addContainer));
  if (one === undefined || two === undefined) throw new Error('there are no two hosts');
  streams += 1;
  const stream = new PingStream(one, two, join(bed.lab.folder, `pings-${streams}`));
  await stream.flows();
  return stream;
}

/** The packets that were lost while `act` ran, and afterwards. They flow again within a second of its end. */
export async function lostDuring(stream: PingStream, act: () => Promise<unknown>): Promise<number> {
  const before = await stream.lost();
  await act();
  await stream.flows(HEAL_MS);
  return (await stream.lost()) - before;
}

/** The objects of the agent on a host, in the words of `ip`. Its overlay device's MAC is among them. */
export async function readOwn(system: System): Promise<string> {
  const lists = [
    'ip -o link show type vxlan',
    'ip -o -4 address show label flannel*',
    'ip route show proto 84',
    'ip neigh show nud permanent',
  ];
  const texts = await Promise.all(lists.map((list) => system.run(...list.split(' '))));
  return texts
    .flatMap((text) => text.split('\n').map((line) => line.trim()))
    .toSorted()
    .join('\n');
}

/** Waits until the agent's objects are `own`, for a second at most. */
export async function waitForOwn(system: System, own: string): Promise<void> {
  await expect.poll(() => readOwn(system), { timeout: HEAL_MS }).toBe(own);
}

/** How often the agent on a host has repaired its objects since its start. */
export function repairsOf(system: System): Promise<number> {
  return countLines(system, /repaired what somebody else had changed/g);
}

/** How often the agent on a host has complained about a peer since its start. */
export function complaintsOf(system: System): Promise<number> {
  return countLines(system, /is not reached: cannot/g);
}

async function countLines(system: System, line: RegExp): Promise<number> {
  const text = await system.run('journalctl', '--no-pager', '--output=cat', '--unit', UNIT);
  const sinceStart = text.slice(text.lastIndexOf('Starting twill.service'));
  return sinceStart.match(line)?.length ?? 0;
}
