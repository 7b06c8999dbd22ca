// Changes the addresses in a set of nftables. A run of nft for one address costs forty times the processor time.
//
//     begin │ delete elements │ add elements │ end          one message: the kernel executes all of it or nothing
import { addressBytes } from '../../model/ip.ts';
import type { AddressSets, SetName } from '../../model/ruleset.ts';
import { LIMITS } from '../limits.ts';
import { type BatchRequest, openBatchSocket } from './batch.ts';
import { Protocol } from './library.ts';
import { formatPayload, u16 } from './payload.ts';
import { CREATE, IPV4, kernelError } from './socket.ts';

// include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NEW_ELEMENTS = 0x0a0c;
const DELETE_ELEMENTS = 0x0a0e;
const [LIST_TABLE, LIST_SET, LIST_ELEMENTS] = [1, 2, 3];
const LIST_ELEMENT = 1;
const ELEMENT_KEY = 1;
const DATA_VALUE = 1;
const NLA_F_NESTED = 0x8000;
/** struct nfgenmsg of a batch: family, version, and the number of the subsystem, of nftables. */
const BATCH_HEADER = [0, 0, 0, 10];
const HEADER_BYTES = 4;
/** Three attributes within each other, around four bytes. */
const ELEMENT_BYTES = 3 * HEADER_BYTES + 4;

/** The sets of this network namespace. */
export const addressSets: AddressSets = {
  async change(set, added, removed, signal) {
    using socket = openBatchSocket(Protocol.NETFILTER);
    const requests = [
      { type: BATCH_BEGIN, flags: 0, payload: Buffer.from(BATCH_HEADER) },
      ...requestsFor(DELETE_ELEMENTS, 0, set, removed),
      ...requestsFor(NEW_ELEMENTS, CREATE, set, added),
      { type: BATCH_END, flags: 0, payload: Buffer.from(BATCH_HEADER), isUnanswered: true },
    ];
    const [code] = (await socket.send(requests, signal)).values();
    if (code === undefined) return;
    const what = `cannot change the set ${set.name} of the nftables table ip ${set.table}`;
    throw kernelError(what, Object.assign(new Error(code), { code }));
  },
};

function requestsFor(
  type: number,
  flags: number,
  { table, name }: SetName,
  addresses: readonly string[],
): readonly BatchRequest[] {
  const requests: BatchRequest[] = [];
  for (let start = 0; start < addresses.length; start += LIMITS.setElements) {
    const names = formatPayload(
      [IPV4, 0, 0, 0],
      [
        [LIST_TABLE, zeroEnded(table)],
        [LIST_SET, zeroEnded(name)],
      ],
    );
    const elements = formatElements(addresses.slice(start, start + LIMITS.setElements));
    requests.push({ type, flags, payload: Buffer.concat([names, elements]) });
  }
  return requests;
}

function formatElements(addresses: readonly string[]): Buffer {
  const nested = (type: number, length: number): readonly number[] => [
    ...u16(HEADER_BYTES + length),
    ...u16(type | NLA_F_NESTED),
  ];
  const elements = addresses.map((address) => [
    ...nested(LIST_ELEMENT, ELEMENT_BYTES - HEADER_BYTES),
    ...nested(ELEMENT_KEY, ELEMENT_BYTES - 2 * HEADER_BYTES),
    ...u16(HEADER_BYTES + 4),
    ...u16(DATA_VALUE),
    ...addressBytes(address),
  ]);
  return Buffer.from([...nested(LIST_ELEMENTS, elements.length * ELEMENT_BYTES), ...elements.flat()]);
}

function zeroEnded(text: string): readonly number[] {
  return [...Buffer.from(`${text}\0`, 'latin1')];
}
