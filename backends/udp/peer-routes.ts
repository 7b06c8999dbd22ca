// The table of peers and their subnets, in memory that two threads share. One thread writes whole tables; the other,
// which moves packets, takes each over with one copy and looks addresses up in its own. Neither ever waits for the
// other.
//
//     words   0        1          2 …                    … and the same again
//             started  published  half 0: slots, number and list of lengths, routes, public addresses
//
// A table is written into the half that is not published. `started` is the version that is being written: a reader that
// was overtaken by two tables while it copied sees it there, discards its copy and tries again.
//
// A lookup is one probe of a hash table for each prefix length that occurs, the longest first. Usually only one length
// occurs, however many peers there are.

import { maskOf } from './packets/address.ts';

/** A subnet and the node that has it. Addresses are 32-bit numbers, signed or not. */
export interface PeerRoute {
  /** Host bits cleared. */
  readonly subnet: number;
  readonly length: number;
  /** Never 0. */
  readonly publicAddress: number;
}

/** The reader's side. Addresses are signed 32-bit numbers. */
export interface PeerRoutes {
  /** Takes the newest table over where it is newer, and gives whether it was. */
  refresh(): boolean;
  /** Public address of the peer in whose subnet an address is; 0: no peer's. */
  lookup(address: number): number;
  /** Whether it is the public address of any peer. */
  isPublic(address: number): boolean;
}

const STARTED = 0;
const PUBLISHED = 1;
const HALVES = 2;

// Words of a half. 33 lengths are possible, 0 to 32.
const SLOTS = 0;
const LENGTHS = 1;
const FIRST_LENGTH = 2;
const ROUTES = FIRST_LENGTH + 33;
// Words of a slot: subnet, length + 1 (0: empty), public address.
const ROUTE_WORDS = 3;
const WORDS_A_SLOT = ROUTE_WORDS + 1;

const SMALLEST_SLOTS = 16;

/** Memory for tables of up to `capacity` peers. */
export function createPeerMemory(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer((HALVES + 2 * halfWords(slotsFor(capacity))) * Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Replaces the table. Of two peers with the same subnet the first counts. Peers that do not fit are left out; gives
 * their number. For one thread only.
 */
export function writePeers(memory: SharedArrayBuffer, peers: readonly PeerRoute[]): number {
  const shared = new Int32Array(memory);
  const words = (shared.length - HALVES) / 2;
  const capacity = (words - ROUTES) / WORDS_A_SLOT / 2;
  const taken = peers.slice(0, capacity);
  const version = Atomics.load(shared, PUBLISHED) + 1;
  Atomics.store(shared, STARTED, version);
  const half = shared.subarray(HALVES + (version & 1) * words, HALVES + ((version & 1) + 1) * words);
  fillTable(half, taken);
  Atomics.store(shared, PUBLISHED, version);
  return peers.length - taken.length;
}

function fillTable(half: Int32Array, peers: readonly PeerRoute[]): void {
  const slots = slotsFor(peers.length);
  half.fill(0, 0, halfWords(slots));
  const lengths = [...new Set(peers.map(({ length }) => length))].sort((a, b) => b - a);
  half[SLOTS] = slots;
  half[LENGTHS] = lengths.length;
  half.set(lengths, FIRST_LENGTH);
  const publics = ROUTES + slots * ROUTE_WORDS;
  for (const { subnet, length, publicAddress } of peers) {
    let slot = hash(subnet | 0, length) & (slots - 1);
    while (half[ROUTES + slot * ROUTE_WORDS + 1] !== 0) {
      if (isSlotOf(half, ROUTES + slot * ROUTE_WORDS, subnet | 0, length)) break;
      slot = (slot + 1) & (slots - 1);
    }
    const at = ROUTES + slot * ROUTE_WORDS;
    if (half[at + 1] !== 0) continue;
    half[at] = subnet;
    half[at + 1] = length + 1;
    half[at + 2] = publicAddress;
    let place = hash(publicAddress | 0, 32) & (slots - 1);
    while (half[publics + place] !== 0 && half[publics + place] !== (publicAddress | 0)) {
      place = (place + 1) & (slots - 1);
    }
    half[publics + place] = publicAddress;
  }
}

/** Reads the tables that `writePeers` writes into this memory. */
export function createPeerRoutes(memory: SharedArrayBuffer): PeerRoutes {
  const shared = new Int32Array(memory);
  const words = (shared.length - HALVES) / 2;
  let table: Int32Array = new Int32Array(words);
  let spare: Int32Array = new Int32Array(words);
  let version = 0;
  table[SLOTS] = SMALLEST_SLOTS;

  const copy = (wanted: number): boolean => {
    const from = HALVES + (wanted & 1) * words;
    const slots = Math.min(Atomics.load(shared, from + SLOTS), slotsFor((words - ROUTES) / WORDS_A_SLOT / 2));
    spare.set(shared.subarray(from, from + halfWords(slots)));
    // The next table but one is written into the half that was copied.
    return Atomics.load(shared, STARTED) - wanted < 2;
  };

  return {
    refresh() {
      const newest = Atomics.load(shared, PUBLISHED);
      if (newest === version || !copy(newest)) return false;
      [table, spare] = [spare, table];
      version = newest;
      return true;
    },
    lookup(address) {
      const mask = (table[SLOTS] as number) - 1;
      const lengths = table[LENGTHS] as number;
      for (let i = 0; i < lengths; i++) {
        const length = table[FIRST_LENGTH + i] as number;
        const subnet = address & maskOf(length);
        let slot = hash(subnet, length) & mask;
        for (;;) {
          const at = ROUTES + slot * ROUTE_WORDS;
          if (table[at + 1] === 0) break;
          if (isSlotOf(table, at, subnet, length)) return table[at + 2] as number;
          slot = (slot + 1) & mask;
        }
      }
      return 0;
    },
    isPublic(address) {
      const slots = table[SLOTS] as number;
      const publics = ROUTES + slots * ROUTE_WORDS;
      let place = hash(address, 32) & (slots - 1);
      for (;;) {
        const found = table[publics + place] as number;
        if (found === 0 || found === address) return found !== 0;
        place = (place + 1) & (slots - 1);
      }
    },
  };
}

function isSlotOf(table: Int32Array, at: number, subnet: number, length: number): boolean {
  return table[at] === subnet && table[at + 1] === length + 1;
}

// Subnets differ in a few neighbouring bits. Multiplying spreads them over all bits.
function hash(value: number, length: number): number {
  const mixed = Math.imul(value ^ Math.imul(length, 0x45d9f3b), 0x9e3779b1 | 0);
  return mixed ^ (mixed >>> 15);
}

// A power of two, at most half full, so that each search ends at an empty slot.
function slotsFor(peers: number): number {
  let slots = SMALLEST_SLOTS;
  while (slots < peers * 2) slots *= 2;
  return slots;
}

function halfWords(slots: number): number {
  return ROUTES + slots * WORDS_A_SLOT;
}
