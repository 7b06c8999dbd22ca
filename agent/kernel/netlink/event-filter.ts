// A program for the kernel that drops events of links that do not concern us before they wake this process. It is a
// saving and no more: the reader of the events decides by the same rules, and more strictly. Pure.
//
//     link                          passes if its index or its name is known, or its name may be ours
//     address, neighbour, fdb       passes if the index of its link is known
//     route of a local address      is dropped
//     our route                     passes for the reconciler alone
//     route of others               passes if the index of its link is known, or it has several links, or its prefix
//                                   is wide: the default route for the underlay, up to /30 for the reconciler
//     other messages                pass
//
// The language is classic BPF, which loads numbers in network order; netlink writes them in the machine's order, which
// is little-endian wherever the `netlink` package has an add-on.
import { ROUTE_PROTOCOL } from '../../model/kinds/route.ts';
import { rt } from './library.ts';

/** Code, jumps if true and if false, number. */
export type FilterInstruction = readonly [code: number, ifTrue: number, ifFalse: number, number: number];

/** The links whose events matter. */
export interface KnownLinks {
  readonly indexes: Iterable<number>;
  readonly names: Iterable<string>;
  /** Whose events: those of the reconciler, or of the choice of the underlay. */
  readonly reader: 'reconciler' | 'underlay';
}

// include/uapi/linux/bpf_common.h
const [LOAD_WORD, LOAD_HALF, LOAD_BYTE, JUMP, JUMP_IF_EQUAL, RETURN] = [0x20, 0x28, 0x30, 0x05, 0x15, 0x06];
const [JUMP_IF_GREATER, LOAD_NUMBER, LOAD_NUMBER_TO_X, A_TO_X, LOAD_WORD_BEHIND_X, AND] = [
  0x25, 0x00, 0x01, 0x07, 0x40, 0x54,
];
const PASS: FilterInstruction = [RETURN, 0, 0, 0xffff_ffff];
const DROP: FilterInstruction = [RETURN, 0, 0, 0];

const { NEWLINK, DELLINK, NEWADDR, DELADDR, NEWNEIGH, DELNEIGH, NEWROUTE, DELROUTE } = rt.MessageType;
// Places in a message: struct nlmsghdr is 16 bytes long. The index of the link is the second word behind it in each of
// these messages. A link's own header is 16 bytes long, and its first attribute is the name.
const TYPE_AT = 4;
const INDEX_AT = 20;
const NAME_AT = 36;
// struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags; 12 bytes.
const [DST_LENGTH_AT, TABLE_AT, PROTOCOL_AT, ROUTE_TYPE_AT, ROUTE_ATTRIBUTES_AT] = [17, 20, 21, 23, 28];
const [LOCAL_TABLE, UNICAST, RTA_OIF] = [255, 1, 4];
/** Our subnets are no longer than this: a longer foreign route has no key of ours. */
const LONGEST_SUBNET = 30;
/** SKF_AD_OFF + SKF_AD_NLATTR: gives the place of the attribute whose type is in X, from the place in A on; 0: none. */
const FIND_ATTRIBUTE = 0xffff_f00c;
const ATTRIBUTE_HEADER_BYTES = 4;
const OWN_NAMES = 'flan';
/** The program that passes all events. */
export const PASS_ALL: readonly FilterInstruction[] = [PASS];

/** RTPROT_KERNEL: Linux makes such a route for the network of each address of a link that is up. */
export const KERNEL_PROTOCOL = 2;
/** The length of the prefix stands there in messages about addresses and in those about routes. */
const PREFIX_LENGTH_AT = 17;
const ADDRESS_ATTRIBUTES_AT = 24;
/** IFA_ADDRESS, and RTA_DST as well. */
const PREFIX = 1;

/**
 * The program for the addresses of one network, with `bits` and `length`: passes addresses whose networks overlap it,
 * and routes that say that a link with such an address is up. Linux tells of no route when a link goes down.
 */
export function formatAddressFilter(bits: number, length: number): readonly FilterInstruction[] {
  const ofRoute: readonly FilterInstruction[] = [
    [LOAD_BYTE, 0, 0, TABLE_AT],
    [JUMP_IF_EQUAL, 0, 1, LOCAL_TABLE],
    DROP,
    [LOAD_BYTE, 0, 0, PROTOCOL_AT],
    [JUMP_IF_EQUAL, 1, 0, KERNEL_PROTOCOL],
    DROP,
    ...overlapPart(bits, length, ROUTE_ATTRIBUTES_AT),
  ];
  const ofAddress = overlapPart(bits, length, ADDRESS_ATTRIBUTES_AT);
  return [
    [LOAD_HALF, 0, 0, TYPE_AT],
    ...jumpOver([NEWADDR, DELADDR], ofAddress.length),
    ...ofAddress,
    ...jumpOver([NEWROUTE], ofRoute.length),
    ...ofRoute,
    DROP,
  ];
}

/** Passes a message about a prefix that overlaps the network, and drops all others. */
function overlapPart(bits: number, length: number, attributesAt: number): readonly FilterInstruction[] {
  const mask = length === 0 ? 0 : (-1 << (32 - length)) >>> 0;
  return [
    [LOAD_BYTE, 0, 0, PREFIX_LENGTH_AT],
    [JUMP_IF_GREATER, 1, 0, length],
    // A wide one is rare, and is left to the reader.
    PASS,
    [LOAD_NUMBER, 0, 0, attributesAt],
    [LOAD_NUMBER_TO_X, 0, 0, PREFIX],
    [LOAD_WORD, 0, 0, FIND_ATTRIBUTE],
    [JUMP_IF_EQUAL, 0, 1, 0],
    PASS,
    [A_TO_X, 0, 0, 0],
    [LOAD_WORD_BEHIND_X, 0, 0, ATTRIBUTE_HEADER_BYTES],
    [AND, 0, 0, mask],
    ...passIf([[undefined, (bits & mask) >>> 0]]),
    DROP,
  ];
}

/** A longer program would do more than it saves. */
const MOST_LINKS = 64;

/** The program for these links; undefined: they are too many. */
export function formatEventFilter(links: KnownLinks): readonly FilterInstruction[] | undefined {
  const [indexes, names] = [[...links.indexes], [...links.names]];
  if (indexes.length + names.length > MOST_LINKS) return undefined;
  const byIndex: readonly FilterInstruction[] = [
    [LOAD_WORD, 0, 0, INDEX_AT],
    ...indexes.flatMap((index) => passIf([[undefined, swap32(index)]])),
  ];
  const ofLink = [
    ...byIndex,
    ...passIf([[NAME_AT, Buffer.from(OWN_NAMES).readUInt32BE(0)]]),
    ...names.flatMap((name) => passIf(wordsOf(name))),
    DROP,
  ];
  const ofEntry = [...byIndex, DROP];
  const ofRoute = routePart(links.reader, indexes);
  return [
    [LOAD_HALF, 0, 0, TYPE_AT],
    ...jumpOver([NEWLINK, DELLINK], ofLink.length),
    ...ofLink,
    ...jumpOver([NEWADDR, DELADDR, NEWNEIGH, DELNEIGH], ofEntry.length),
    ...ofEntry,
    ...jumpOver([NEWROUTE, DELROUTE], ofRoute.length),
    ...ofRoute,
    PASS,
  ];
}

function routePart(reader: KnownLinks['reader'], indexes: readonly number[]): readonly FilterInstruction[] {
  const isOwners = reader === 'reconciler';
  return [
    [LOAD_BYTE, 0, 0, TABLE_AT],
    [JUMP_IF_EQUAL, 0, 1, LOCAL_TABLE],
    DROP,
    [LOAD_BYTE, 0, 0, PROTOCOL_AT],
    [JUMP_IF_EQUAL, 0, 1, ROUTE_PROTOCOL],
    isOwners ? PASS : DROP,
    [LOAD_BYTE, 0, 0, DST_LENGTH_AT],
    [JUMP_IF_GREATER, 1, 0, isOwners ? LONGEST_SUBNET : 0],
    PASS,
    // A blackhole and its like have no link.
    [LOAD_BYTE, 0, 0, ROUTE_TYPE_AT],
    [JUMP_IF_EQUAL, 1, 0, UNICAST],
    DROP,
    [LOAD_NUMBER, 0, 0, ROUTE_ATTRIBUTES_AT],
    [LOAD_NUMBER_TO_X, 0, 0, RTA_OIF],
    [LOAD_WORD, 0, 0, FIND_ATTRIBUTE],
    [JUMP_IF_EQUAL, 0, 1, 0],
    PASS,
    [A_TO_X, 0, 0, 0],
    [LOAD_WORD_BEHIND_X, 0, 0, ATTRIBUTE_HEADER_BYTES],
    ...indexes.flatMap((index) => passIf([[undefined, swap32(index)]])),
    DROP,
  ];
}

// Goes on behind the jump if the loaded type is one of these, and else skips `length` instructions. The type is loaded
// again only where a part before has loaded another value; no part that drops or passes is left otherwise.
function jumpOver(types: readonly number[], length: number): readonly FilterInstruction[] {
  const checks = types.map((type, place): FilterInstruction => {
    return [JUMP_IF_EQUAL, types.length - place, 0, swap16(type)];
  });
  return [...checks, [JUMP, 0, 0, length]];
}

/** Passes if each place holds its word; no place: the word that is loaded. */
function passIf(
  words: readonly (readonly [place: number | undefined, word: number])[],
): readonly FilterInstruction[] {
  const checks: FilterInstruction[] = [];
  const lengths = words.map(([place]) => (place === undefined ? 1 : 2));
  let left = lengths.reduce((sum, length) => sum + length, 0);
  for (const [place, word] of words) {
    if (place !== undefined) {
      checks.push([LOAD_WORD, 0, 0, place]);
      left--;
    }
    left--;
    // Behind the remaining checks stands the instruction that passes.
    checks.push([JUMP_IF_EQUAL, 0, left + 1, word]);
  }
  return [...checks, PASS];
}

// The attribute is padded with zeros to whole words.
function wordsOf(name: string): readonly (readonly [number, number])[] {
  const bytes = Buffer.alloc((Buffer.byteLength(name) + 4) & ~3);
  bytes.write(name);
  return Array.from(
    { length: bytes.length / 4 },
    (_, i) => [NAME_AT + 4 * i, bytes.readUInt32BE(4 * i)] as const,
  );
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

function swap32(value: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.readUInt32BE(0);
}
