// A kernel in memory for the forwarder: the contract of sockets and TUN devices, faithful in what matters. A sender
// that cuts messages into datagrams, a TUN device that takes and gives packets, a socket that refuses what it is told
// to.
import type { Arena, PacketFile, Poller, Receiver, Sender } from 'dgram-native';

export interface Datagram {
  readonly address: number;
  readonly port: number;
  readonly bytes: Uint8Array;
}

/** An arena of ordinary memory. */
export function createFakeArena(byteLength: number): Arena {
  const pages = Math.ceil(byteLength / 65_536);
  const { Memory } = (
    globalThis as unknown as {
      readonly WebAssembly: { readonly Memory: new (size: object) => { readonly buffer: ArrayBuffer } };
    }
  ).WebAssembly;
  const memory = new Memory({ initial: pages, maximum: pages });
  let taken = 0;
  return {
    memory,
    u8: new Uint8Array(memory.buffer),
    u16: new Uint16Array(memory.buffer),
    u32: new Uint32Array(memory.buffer),
    byteLength: memory.buffer.byteLength,
    reserve(bytes) {
      const offset = taken;
      taken = (taken + bytes + 63) & ~63;
      if (taken > memory.buffer.byteLength) throw new RangeError('the arena is full');
      return offset;
    },
  };
}

interface Message {
  readonly address: number;
  readonly port: number;
  readonly segmentBytes: number;
  readonly pieces: number[];
}

/** Sends into a list. `refuse` says with what errno a datagram or run is refused, 0: it is sent. */
export class FakeSender implements Sender {
  readonly datagrams: Datagram[] = [];
  /** Number of datagrams of each message that was sent. */
  readonly messages: number[] = [];
  calls = 0;
  refuse: (address: number, segmentBytes: number, bytes: number) => number = () => 0;
  readonly #u8: Uint8Array;
  #written: Message[] = [];
  #refused: { readonly message: number; readonly errno: number }[] = [];
  #pieces = 0;
  readonly #limits: { readonly messages: number; readonly pieces: number };

  constructor(u8: Uint8Array, limits: { readonly messages: number; readonly pieces: number }) {
    this.#u8 = u8;
    this.#limits = limits;
  }

  freeMessages(): number {
    return this.#limits.messages - this.#written.length;
  }

  freePieces(): number {
    return this.#limits.pieces - this.#pieces;
  }

  begin(address: number, port: number, segmentBytes: number): void {
    if (this.freeMessages() === 0) throw new RangeError('no message left');
    this.#written.push({ address, port, segmentBytes, pieces: [] });
  }

  append(offset: number, length: number): void {
    if (this.freePieces() === 0) throw new RangeError('no piece left');
    if (offset < 0 || length < 0 || offset + length > this.#u8.length) throw new RangeError('outside');
    this.#pieces++;
    this.#written.at(-1)?.pieces.push(offset, length);
  }

  flush(): number {
    if (this.#written.length > 0) this.calls++;
    this.#refused = [];
    for (const [place, { address, port, segmentBytes, pieces }] of this.#written.entries()) {
      const bytes = gather(this.#u8, pieces);
      const errno = this.refuse(address, segmentBytes, bytes.length);
      if (errno !== 0) {
        this.#refused.push({ message: place, errno });
        continue;
      }
      const size = segmentBytes === 0 ? Math.max(bytes.length, 1) : segmentBytes;
      if (bytes.length > 65_507 || bytes.length > 64 * size) throw new RangeError('run too long');
      let count = 0;
      for (let at = 0; at === 0 || at < bytes.length; at += size, count++) {
        this.datagrams.push({ address, port, bytes: bytes.slice(at, at + size) });
      }
      this.messages.push(count);
    }
    this.#written = [];
    this.#pieces = 0;
    return this.#refused.length;
  }

  refusedErrno(i: number): number {
    return this.#refused[i]?.errno ?? 0;
  }

  refusedMessage(i: number): number {
    return this.#refused[i]?.message ?? -1;
  }

  /** Takes what was sent so far. */
  take(): Datagram[] {
    return this.datagrams.splice(0);
  }
}

export interface IncomingMessage {
  readonly address: number;
  readonly segmentBytes: number;
  readonly bytes: Uint8Array;
  readonly truncated?: boolean;
}

export class FakeReceiver implements Receiver {
  readonly waiting: IncomingMessage[] = [];
  readonly #arena: Arena;
  readonly #rooms: number[];
  #messages: IncomingMessage[] = [];

  constructor(arena: Arena, messages: number) {
    this.#arena = arena;
    this.#rooms = Array.from({ length: messages }, () => arena.reserve(65_536));
  }

  receive(most = this.#rooms.length): number {
    this.#messages = this.waiting.splice(0, Math.min(most, this.#rooms.length));
    for (const [i, { bytes }] of this.#messages.entries()) this.#arena.u8.set(bytes, this.offset(i));
    return this.#messages.length;
  }

  offset(i: number): number {
    return this.#rooms[i] ?? -1;
  }

  length(i: number): number {
    return this.#messages[i]?.bytes.length ?? 0;
  }

  segmentBytes(i: number): number {
    return this.#messages[i]?.segmentBytes ?? 0;
  }

  sourceAddress(i: number): number {
    return (this.#messages[i]?.address ?? 0) >>> 0;
  }

  sourcePort(): number {
    return 8285;
  }

  isTruncated(i: number): boolean {
    return this.#messages[i]?.truncated === true;
  }
}

/** A TUN device. `waiting` and `written` are packets with their offload headers. */
export class FakeTun implements PacketFile {
  readonly waiting: Uint8Array[] = [];
  readonly written: Uint8Array[] = [];
  /** What writing gives instead of success, minus an errno. */
  refusal = 0;
  /** The same for reading. */
  readFailure = 0;
  readonly #u8: Uint8Array;
  readonly #maxPieces: number;
  #pieces: number[] = [];

  constructor(u8: Uint8Array, maxPieces = 128) {
    this.#u8 = u8;
    this.#maxPieces = maxPieces;
  }

  freePieces(): number {
    return this.#maxPieces - this.#pieces.length / 2;
  }

  read(offset: number, maxBytes: number): number {
    if (this.readFailure !== 0) return this.readFailure;
    const packet = this.waiting.shift();
    if (packet === undefined) return 0;
    this.#u8.set(packet.subarray(0, maxBytes), offset);
    return Math.min(packet.length, maxBytes);
  }

  clear(): void {
    this.#pieces = [];
  }

  append(offset: number, length: number): void {
    if (this.freePieces() === 0) throw new RangeError('no piece left');
    if (offset < 0 || length < 0 || offset + length > this.#u8.length) throw new RangeError('outside');
    this.#pieces.push(offset, length);
  }

  write(): number {
    const packet = gather(this.#u8, this.#pieces);
    this.#pieces = [];
    if (this.refusal !== 0) return this.refusal;
    if (packet.length > 10 + 65_535) throw new RangeError(`packet of ${packet.length} bytes`);
    this.written.push(packet);
    return packet.length;
  }

  /** Takes what was written so far. */
  take(): Uint8Array[] {
    return this.written.splice(0);
  }
}

function gather(u8: Uint8Array, pieces: readonly number[]): Uint8Array {
  const length = pieces.reduce((sum, n, i) => sum + (i % 2 === 1 ? n : 0), 0);
  const bytes = new Uint8Array(length);
  let to = 0;
  for (let i = 0; i < pieces.length; i += 2) {
    const [offset = 0, size = 0] = [pieces[i], pieces[i + 1]];
    bytes.set(u8.subarray(offset, offset + size), to);
    to += size;
  }
  return bytes;
}

/** Ready as long as something waits; `onIdle` is called when nothing does. */
export class FakePoller implements Poller {
  failed = 0;
  waits = 0;
  readonly #tun: FakeTun;
  readonly #receiver: FakeReceiver;
  readonly #onIdle: () => void;

  constructor(tun: FakeTun, receiver: FakeReceiver, onIdle: () => void) {
    this.#tun = tun;
    this.#receiver = receiver;
    this.#onIdle = onIdle;
  }

  wait(timeoutMs: number): number {
    this.waits++;
    const ready = (this.#tun.waiting.length > 0 ? 1 : 0) | (this.#receiver.waiting.length > 0 ? 2 : 0);
    if (ready === 0 && this.failed === 0 && timeoutMs !== 0) this.#onIdle();
    return ready;
  }
}
