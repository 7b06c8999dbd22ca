// What this package gives: Linux datagram sockets and TUN devices, in batches, for code that must not allocate.
//
// Everything works on an arena: one block of memory whose address never changes. Packets are numbers into it (offset
// and length), so that the kernel, JavaScript and WebAssembly see the same bytes and nothing is copied between them.
// Addresses are IPv4 as unsigned 32-bit numbers, the first byte the most significant: 10.0.0.1 is 0x0a000001. Where one
// is taken the signed number of the same bits will do: numbers from 2^31 may be allocated on their way, those may not.

/** A WebAssembly.Memory, as far as it matters here; the compiler knows the whole of it only among a browser's types. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/**
 * A block of memory with a stable address. The views all show the same bytes, in the machine's (little endian) order.
 */
export interface Arena {
  readonly memory: WasmMemory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly byteLength: number;
  /**
   * Takes `bytes` bytes of what is not taken yet, on a boundary of 64; throws when there is no room. Never given back.
   */
  reserve(bytes: number): number;
}

/** A UDP socket that never blocks. Its descriptor is -1 once it is closed. */
export interface UdpSocket extends Disposable {
  readonly fd: number;
  readonly port: number;
  /**
   * One send may carry many datagrams of one size (UDP_SEGMENT). Where not, senders cut a run themselves. It becomes
   * false when the kernel refuses a run at run time; other threads that use the socket find out for themselves.
   */
  readonly canSegment: boolean;
  /** From now on nothing is left for the kernel to cut: `canSegment` is false. */
  stopSegmenting(): void;
  /** One receive may carry many datagrams of one size (UDP_GRO). */
  readonly canCoalesce: boolean;
  /**
   * Largest datagram payload that the path to `address` takes without fragments, as the kernel knows it now; undefined:
   * unknown.
   */
  pathPayloadBytes(address: number): number | undefined;
}

/** A TUN device: IP packets, each with a header of 10 bytes (struct virtio_net_hdr) before it. Never blocks. */
export interface Tun extends Disposable {
  readonly fd: number;
  readonly name: string;
  /** The kernel hands over, and takes, runs of TCP segments as one packet. */
  readonly tcpRuns: boolean;
  /** The same for UDP (kernel 6.2 and later). */
  readonly udpRuns: boolean;
  /** A persistent device outlives the process that made it. */
  setPersistent(persistent: boolean): void;
}

/** Sends messages, many in one system call. `begin` and `append` only write down; nothing leaves before `flush`. */
export interface Sender {
  /** Room for messages and pieces that is left. */
  freeMessages(): number;
  freePieces(): number;
  /**
   * Begins a message. `segmentBytes` > 0: it is cut into datagrams of that size, the last one may be shorter. A run
   * stays one on its way through the kernel where it has at most 64 datagrams and 65,000 bytes; it may have 65,507.
   */
  begin(address: number, port: number, segmentBytes: number): void;
  /** Adds a piece of the arena to the message that was begun last. */
  append(offset: number, length: number): void;
  /**
   * Sends everything that was begun, and forgets it. Gives how many messages were refused; `refusedErrno(i)` and
   * `refusedMessage(i)` tell of them. Of a run that was cut by the sender, a part may have been sent all the same.
   *
   * EMSGSIZE: a datagram is larger than the path. EAGAIN: the socket's buffer is full; nothing after it was tried.
   */
  flush(): number;
  refusedErrno(i: number): number;
  /** Place of the refused message in the order of `begin`. */
  refusedMessage(i: number): number;
}

/** Receives messages, many in one system call. */
export interface Receiver {
  /**
   * Receives at most `most` messages, 1 to as many as there is room for, which is the default. Gives their number; 0:
   * none is waiting; below 0: minus the errno. The last ones' bytes are overwritten.
   */
  receive(most?: number): number;
  offset(i: number): number;
  length(i: number): number;
  /** Size of each datagram in the message; equal to `length` where it is one datagram. */
  segmentBytes(i: number): number;
  sourceAddress(i: number): number;
  sourcePort(i: number): number;
  /** The message was longer than the room for it; `length` is what there is. */
  isTruncated(i: number): boolean;
}

/** Reads and writes a file descriptor in whole packets. */
export interface PacketFile {
  /** Bytes read into the arena; 0: none is waiting; below 0: minus the errno. What does not fit is lost. */
  read(offset: number, maxBytes: number): number;
  /** Gathers pieces into one packet. */
  clear(): void;
  append(offset: number, length: number): void;
  freePieces(): number;
  /** Writes the gathered pieces as one packet. Gives the bytes written, or minus the errno; forgets the pieces. */
  write(): number;
}

/** Waits for several file descriptors. */
export interface Poller {
  /**
   * Waits until one can be read or has failed, at most `timeoutMs` (-1: for ever). Gives a bit mask of those that can
   * be read, in the order in which they were given; `failed` is the mask of those in error.
   */
  wait(timeoutMs: number): number;
  readonly failed: number;
}

/** Wakes a thread that waits in a poller; the file descriptor may be handed to another thread. */
export interface Wakeup extends Disposable {
  readonly fd: number;
  ring(): void;
  /** Takes back all rings so far. */
  clear(): void;
}
