// Packets for tests, built byte by byte and checked with a naive checksum. They share no code with the forwarder.

export interface PacketFields {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
  readonly ttl?: number;
  readonly id?: number;
  readonly tos?: number;
  /** Flags and offset. */
  readonly fragment?: number;
  /** Whole words. */
  readonly options?: Uint8Array;
}

/** One's complement sum of big endian words, not folded away from 0xffff. */
export function naiveSum(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

export function addressOf(text: string): number {
  return text.split('.').reduce((number, byte) => (number << 8) | Number(byte), 0);
}

function addressBytes(text: string): number[] {
  return text.split('.').map(Number);
}

export function ipv4({ options = new Uint8Array(0), ...fields }: PacketFields): Uint8Array {
  const headerBytes = 20 + options.length;
  const total = headerBytes + fields.payload.length;
  const id = fields.id ?? 0;
  const fragment = fields.fragment ?? 0x4000;
  const packet = Uint8Array.from([
    0x40 | (headerBytes / 4),
    fields.tos ?? 0,
    total >> 8,
    total & 0xff,
    id >> 8,
    id & 0xff,
    fragment >> 8,
    fragment & 0xff,
    fields.ttl ?? 64,
    fields.protocol,
    0,
    0,
    ...addressBytes(fields.source),
    ...addressBytes(fields.destination),
    ...options,
    ...fields.payload,
  ]);
  put16(packet, 10, ~naiveSum(packet.subarray(0, headerBytes)) & 0xffff);
  return packet;
}

export interface TcpFields extends Omit<PacketFields, 'protocol' | 'payload'> {
  readonly data: Uint8Array;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly tcpOptions?: Uint8Array;
  readonly ports?: readonly [number, number];
}

export function tcp({ data, tcpOptions = new Uint8Array(0), ...fields }: TcpFields): Uint8Array {
  const [from, to] = fields.ports ?? [40_000, 80];
  const segment = new Uint8Array(20 + tcpOptions.length + data.length);
  put16(segment, 0, from);
  put16(segment, 2, to);
  put32(segment, 4, fields.sequence ?? 1);
  put32(segment, 8, fields.acknowledgement ?? 7);
  segment[12] = ((20 + tcpOptions.length) / 4) << 4;
  segment[13] = fields.flags ?? 0x10;
  put16(segment, 14, fields.window ?? 512);
  segment.set(tcpOptions, 20);
  segment.set(data, 20 + tcpOptions.length);
  put16(segment, 16, ~transportSum(fields, 6, segment) & 0xffff);
  return ipv4({ ...fields, protocol: 6, payload: segment });
}

export interface UdpFields extends Omit<PacketFields, 'protocol' | 'payload'> {
  readonly data: Uint8Array;
  readonly ports?: readonly [number, number];
  readonly noChecksum?: boolean;
}

export function udp({ data, ...fields }: UdpFields): Uint8Array {
  const [from, to] = fields.ports ?? [5000, 53];
  const datagram = new Uint8Array(8 + data.length);
  put16(datagram, 0, from);
  put16(datagram, 2, to);
  put16(datagram, 4, datagram.length);
  datagram.set(data, 8);
  const checksum = ~transportSum(fields, 17, datagram) & 0xffff;
  if (fields.noChecksum !== true) put16(datagram, 6, checksum === 0 ? 0xffff : checksum);
  return ipv4({ ...fields, protocol: 17, payload: datagram });
}

export function icmp(
  fields: Omit<PacketFields, 'protocol' | 'payload'> & { readonly type: number; readonly data?: Uint8Array },
): Uint8Array {
  const message = Uint8Array.from([fields.type, 0, 0, 0, 0, 1, 0, 1, ...(fields.data ?? [])]);
  put16(message, 2, ~naiveSum(message) & 0xffff);
  return ipv4({ ...fields, protocol: 1, payload: message });
}

function transportSum(
  { source, destination }: Pick<PacketFields, 'source' | 'destination'>,
  protocol: number,
  bytes: Uint8Array,
): number {
  const pseudo = [...addressBytes(source), ...addressBytes(destination), 0, protocol];
  return naiveSum(bytes, naiveSum(Uint8Array.from([...pseudo, bytes.length >> 8, bytes.length & 0xff])));
}

/** The fault of a packet by the plain rules: header sum, lengths, checksum of TCP, UDP or ICMP. */
export function faultOf(packet: Uint8Array): string | undefined {
  if (packet.length < 20) return 'short';
  const headerBytes = (at(packet, 0) & 15) * 4;
  if (get16(packet, 2) !== packet.length) return `total length ${get16(packet, 2)}, is ${packet.length}`;
  if (naiveSum(packet.subarray(0, headerBytes)) !== 0xffff) return 'header checksum';
  if ((get16(packet, 6) & 0x3fff) !== 0) return undefined;
  const payload = packet.subarray(headerBytes);
  const protocol = at(packet, 9);
  if (protocol === 1) return naiveSum(payload) === 0xffff ? undefined : 'icmp checksum';
  if (protocol !== 6 && protocol !== 17) return undefined;
  if (protocol === 17 && get16(payload, 4) !== payload.length) return 'udp length';
  if (protocol === 17 && get16(payload, 6) === 0) return undefined;
  const addresses = { source: text(packet, 12), destination: text(packet, 16) };
  return transportSum(addresses, protocol, payload) === 0xffff ? undefined : 'transport checksum';
}

export function text(packet: Uint8Array, offset: number): string {
  return packet.subarray(offset, offset + 4).join('.');
}

export function at(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? -1;
}

export function get16(bytes: Uint8Array, offset: number): number {
  return (at(bytes, offset) << 8) | at(bytes, offset + 1);
}

export function get32(bytes: Uint8Array, offset: number): number {
  return get16(bytes, offset) * 0x10000 + get16(bytes, offset + 2);
}

export function put16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value & 0xff;
}

export function put32(bytes: Uint8Array, offset: number, value: number): void {
  put16(bytes, offset, value >>> 16);
  put16(bytes, offset + 2, value & 0xffff);
}

/** Random bytes. */
export function randomBytes(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

/** A whole number from 0 to `below` - 1. */
export function pick(random: () => number, below: number): number {
  return Math.floor(random() * below);
}
