// A program for the kernel that drops events of firewall rules that do not concern us before they wake this process. It
// is a saving and no more: the reader of the events decides, and more strictly. Pure.
//
//     table, chain                  passes
//     rule                          passes if its chain has the name of one in use, in whatever table
//     set, element, generation      is dropped
//     many messages in one          pass: the program looks at the first ones
//
// The kernel puts the messages of a transaction together. Names are compared by their length and a sum of three words:
// a chain that has the sum of another one passes too.
import type { FilterInstruction } from './event-filter.ts';

const MOST_CHAINS = 64;
/**
 * Linux translates the program, and allows a socket 20 kB by default, of 8 bytes an instruction. One look at a message
 * takes so many instructions, and one more for each chain.
 */
const [INSTRUCTIONS, INSTRUCTIONS_A_LOOK] = [2_200, 190];

// include/uapi/linux/bpf_common.h and filter.h. Words and bytes are loaded from a place behind that in X.
const [LOAD_NUMBER, LOAD_LENGTH, LOAD_X, STORE, A_TO_X] = [0x00, 0x80, 0x61, 0x02, 0x07];
const [LOAD_WORD, LOAD_BYTE] = [0x40, 0x50];
const [ADD, ADD_X, AND, SHIFT_LEFT] = [0x04, 0x0c, 0x54, 0x64];
const [JUMP, JUMP_IF_EQUAL, JUMP_IF_GREATER_X, RETURN] = [0x05, 0x15, 0x2d, 0x06];
const PASS: FilterInstruction = [RETURN, 0, 0, 0xffff_ffff];
const DROP: FilterInstruction = [RETURN, 0, 0, 0];

/** Cells of the program's memory: the place of the message, and values on their way. */
const [MESSAGE, NAME_END, SUM] = [0, 1, 2];

// struct nlmsghdr: length 4, type 2 (the message, then the subsystem). struct nfgenmsg ends at 20. There stands the
// name of the table in a rule's message, and the name of the chain follows.
const [TYPE_AT, SUBSYSTEM_AT, NAME_AT] = [4, 5, 20];
const NFTABLES = 0x0a;
const [NEW_TABLE, DEL_TABLE, NEW_CHAIN, DEL_CHAIN, NEW_RULE, DEL_RULE] = [0, 2, 3, 5, 6, 8];
const [RULE_TABLE, RULE_CHAIN] = [1, 2];
// struct nlattr: length 2, type 2. Attributes stand at multiples of four.
const ATTRIBUTE_HEADER_BYTES = 4;

/** The program for the chains of these names; undefined: they are too many. */
export function formatRulesetFilter(chains: Iterable<string>): readonly FilterInstruction[] | undefined {
  const sums = [...new Set(Array.from(chains, sumOf))];
  if (sums.length > MOST_CHAINS) return undefined;
  const message = lookAtMessage(sums);
  const looks = Math.floor(INSTRUCTIONS / (INSTRUCTIONS_A_LOOK + sums.length));
  return [
    [LOAD_NUMBER, 0, 0, 0],
    [STORE, 0, 0, MESSAGE],
    ...Array.from({ length: looks }, () => message).flat(),
    PASS,
  ];
}

/** Passes or drops, or goes on behind itself with the next message. */
function lookAtMessage(sums: readonly number[]): readonly FilterInstruction[] {
  const rule = lookAtRule(sums);
  return [
    [LOAD_X, 0, 0, MESSAGE],
    [LOAD_LENGTH, 0, 0, 0],
    [JUMP_IF_GREATER_X, 1, 0, 0],
    DROP,
    [LOAD_BYTE, 0, 0, SUBSYSTEM_AT],
    [JUMP_IF_EQUAL, 1, 0, NFTABLES],
    PASS,
    [LOAD_BYTE, 0, 0, TYPE_AT],
    ...passIfOneOf([NEW_TABLE, DEL_TABLE, NEW_CHAIN, DEL_CHAIN]),
    [JUMP_IF_EQUAL, 2, 0, NEW_RULE],
    [JUMP_IF_EQUAL, 1, 0, DEL_RULE],
    [JUMP, 0, 0, rule.length],
    ...rule,
    ...TO_NEXT_MESSAGE,
  ];
}

function lookAtRule(sums: readonly number[]): readonly FilterInstruction[] {
  return [
    ...passUnlessNamed(RULE_TABLE),
    ...TO_NAME_END,
    ...passUnlessNamed(RULE_CHAIN),
    [LOAD_WORD, 0, 0, NAME_AT],
    [STORE, 0, 0, SUM],
    [LOAD_WORD, 0, 0, NAME_AT + ATTRIBUTE_HEADER_BYTES],
    ...ADD_TO_SUM,
    [LOAD_X, 0, 0, NAME_END],
    ...TO_NAME_END,
    [LOAD_WORD, 0, 0, NAME_AT - 4],
    ...ADD_TO_SUM,
    [LOAD_X, 0, 0, NAME_END],
    [LOAD_WORD, 0, 0, NAME_AT - 8],
    ...ADD_TO_SUM,
    ...passIfOneOf(sums),
  ];
}

// Sets X to the place behind the attribute that X + NAME_AT is at, less NAME_AT.
const TO_NAME_END: readonly FilterInstruction[] = [
  [LOAD_BYTE, 0, 0, NAME_AT],
  [ADD, 0, 0, 3],
  [AND, 0, 0, 0x1fc],
  [ADD_X, 0, 0, 0],
  [STORE, 0, 0, NAME_END],
  [A_TO_X, 0, 0, 0],
];

// Leaves the sum in A.
const ADD_TO_SUM: readonly FilterInstruction[] = [
  [LOAD_X, 0, 0, SUM],
  [ADD_X, 0, 0, 0],
  [STORE, 0, 0, SUM],
];

const TO_NEXT_MESSAGE: readonly FilterInstruction[] = [
  [LOAD_X, 0, 0, MESSAGE],
  [LOAD_BYTE, 0, 0, 1],
  [SHIFT_LEFT, 0, 0, 8],
  [STORE, 0, 0, SUM],
  [LOAD_BYTE, 0, 0, 0],
  ...ADD_TO_SUM,
  [LOAD_X, 0, 0, MESSAGE],
  [ADD_X, 0, 0, 0],
  [STORE, 0, 0, MESSAGE],
];

// A name of 251 letters or more, or an attribute of another kind, is left to the reader.
function passUnlessNamed(attribute: number): readonly FilterInstruction[] {
  return [
    [LOAD_BYTE, 0, 0, NAME_AT + 1],
    [JUMP_IF_EQUAL, 1, 0, 0],
    PASS,
    [LOAD_BYTE, 0, 0, NAME_AT + 2],
    [JUMP_IF_EQUAL, 1, 0, attribute],
    PASS,
  ];
}

function passIfOneOf(numbers: readonly number[]): readonly FilterInstruction[] {
  const checks = numbers.map(
    (number, i): FilterInstruction => [JUMP_IF_EQUAL, numbers.length - i, 0, number],
  );
  return [...checks, [JUMP, 0, 0, 1], PASS];
}

/** The sum by which the program knows a chain. */
function sumOf(chain: string): number {
  const bytes = Buffer.from(chain);
  const length = ATTRIBUTE_HEADER_BYTES + bytes.length + 1;
  const attribute = Buffer.alloc((length + 3) & ~3);
  attribute.writeUInt16LE(length);
  attribute.writeUInt16LE(RULE_CHAIN, 2);
  bytes.copy(attribute, ATTRIBUTE_HEADER_BYTES);
  const places = [0, ATTRIBUTE_HEADER_BYTES, attribute.length - 4, attribute.length - 8];
  return places.reduce((sum, at) => (sum + attribute.readUInt32BE(at)) >>> 0, 0);
}
