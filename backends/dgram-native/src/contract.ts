// The contract of this package: Linux datagram sockets and TUN devices, in batches, for code that must not allocate.
//
// Everything works on an arena: one block of memory whose address never changes. Packets and endpoints are offsets in
// it, so that the kernel, JavaScript and WebAssembly see the same bytes and nothing is copied between them.

/** A WebAssembly.Memory. The compiler declares it for browsers only. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A block of memory with a stable address. The views all show the same bytes, in little-endian order. */
export interface Arena {
  readonly memory: WasmMemory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly byteLength: number;
  /**
   * Reserves `bytes` bytes on a boundary of 64 and gives their offset. They are never given back. Throws a RangeError
   * where no room is left.
   */
  reserve(bytes: number): number;
}

/**
 * Writes and reads endpoints. An endpoint is an address with a port, of either family; it is named by its offset in the
 * arena, a multiple of 4, where `ENDPOINT_BYTES` bytes hold it in the kernel's own form (sockaddr_in, sockaddr_in6).
 */
export interface Endpoints {
  /**
   * Writes an endpoint. `address` is the text of an IPv4 or IPv6 address, without a zone. Throws a RangeError where it
   * is not, and where the port is not from 0 to 65535.
   */
  set(at: number, address: string, port: number): void;
  /**
   * Writes an IPv4 endpoint without allocating. `address` has the first byte as the most significant one: 10.0.0.1 is
   * 0x0a000001. The signed number of the same bits will do, and is the one that never has to be allocated.
   */
  setIpv4(at: number, address: number, port: number): void;
  /** Whether two endpoints have the same address and port. */
  equals(a: number, b: number): boolean;
  /** The address as text, in canonical form. */
  address(at: number): string;
  /** The IPv4 address as a signed 32-bit number; 0 where the endpoint is not IPv4. Allocates nothing. */
  ipv4(at: number): number;
  port(at: number): number;
}

/** A UDP socket that never blocks. Its descriptor is -1 once it is closed. */
export interface UdpSocket extends Disposable {
  readonly fd: number;
  readonly port: number;
  /**
   * The kernel cuts a message into datagrams of one size (UDP_SEGMENT). Where it cannot, senders cut. It becomes false
   * when the kernel refuses a run that it should take; each thread that uses the socket finds that out for itself.
   */
  readonly canSegment: boolean;
  /** Makes `canSegment` false. */
  stopSegmenting(): void;
  /** The kernel may hand over many datagrams of one size as one message (UDP_GRO). */
  readonly canCoalesce: boolean;
  /**
   * Largest datagram payload, in bytes, that the path to an address takes without fragments, as the kernel knows it
   * now. Undefined where the kernel knows nothing.
   */
  pathPayloadBytes(address: string): number | undefined;
}

/**
 * A TUN device that never blocks. Each of its IP packets has a header of 10 bytes (struct virtio_net_hdr) before it.
 */
export interface Tun extends Disposable {
  readonly fd: number;
  readonly name: string;
  /** The kernel gives and takes a run of TCP segments as one packet. */
  readonly tcpRuns: boolean;
  /** The kernel gives and takes a run of UDP datagrams as one packet (Linux 6.2 and later). */
  readonly udpRuns: boolean;
  /** A persistent device outlives the process that made it. */
  setPersistent(persistent: boolean): void;
}

/** Sends messages, many in one system call. `begin` and `append` only write down; nothing leaves before `flush`. */
export interface Sender {
  /** Most messages in one flush. */
  readonly capacity: number;
  /** Most pieces in all messages of one flush. */
  readonly pieceCapacity: number;
  /** Messages that can still be begun before the next flush. */
  freeMessages(): number;
  /** Pieces that can still be appended before the next flush. */
  freePieces(): number;
  /**
   * Begins a message to an endpoint, which must stay as it is until the flush.
   *
   * With `segmentBytes` 0 the message is one datagram. Otherwise it is cut into datagrams of that size; the last one
   * may be shorter. A run of at most `MAX_RUN_DATAGRAMS` and `MAX_RUN_BYTES` stays in one piece on its way through the
   * kernel; longer ones are cut earlier, and 65,507 bytes (IPv6: 65,527) are the most.
   *
   * Throws a RangeError where no message is free, the endpoint is outside the arena, or the size is not 0 to 65535.
   */
  begin(endpoint: number, segmentBytes: number): void;
  /**
   * Appends a piece of the arena to the message that was begun last. The bytes must stay as they are until the flush.
   * Throws a RangeError where no message was begun, no piece is free, or the bytes are outside the arena.
   */
  append(offset: number, length: number): void;
  /**
   * Sends all messages that were begun, and forgets them. Gives the number of refused messages; `refusedErrno(i)` and
   * `refusedMessage(i)` describe them. Some datagrams of a refused run may have been sent.
   *
   * EMSGSIZE: a datagram is larger than the path takes. EAGAIN: the socket's buffer is full; no later message was
   * tried.
   */
  flush(): number;
  refusedErrno(i: number): number;
  /** Position of the refused message in the order of `begin`. */
  refusedMessage(i: number): number;
  /** Number of its pieces. They can be read until the next `begin`. */
  refusedPieces(i: number): number;
  refusedOffset(i: number, piece: number): number;
  refusedLength(i: number, piece: number): number;
}

/** Receives messages, many in one system call. What it gives is valid until the next `receive`. */
export interface Receiver {
  /** Most messages in one call. */
  readonly capacity: number;
  /**
   * Receives at most `most` messages, 1 to `capacity`, which is the default. Gives their number; 0: none waits; below
   * 0: minus the errno. Throws a RangeError where `most` is out of range.
   */
  receive(most?: number): number;
  /** Where the message begins in the arena. */
  offset(i: number): number;
  length(i: number): number;
  /** Size of each datagram in the message; equal to `length` where the message is one datagram. */
  segmentBytes(i: number): number;
  /** The endpoint that the message came from. */
  source(i: number): number;
  /** The message was longer than the room for it; `length` bytes of it are there. */
  isTruncated(i: number): boolean;
}

/** Reads and writes a file descriptor in whole packets. */
export interface PacketFile {
  /**
   * Reads one packet into the arena and gives its bytes; 0: none waits; below 0: minus the errno. Bytes beyond
   * `maxBytes` are lost. Throws a RangeError where the room is outside the arena.
   */
  read(offset: number, maxBytes: number): number;
  /** Forgets the pieces that were appended. */
  clear(): void;
  /**
   * Appends a piece of the next packet. Throws a RangeError where no piece is free or the bytes are outside the arena.
   */
  append(offset: number, length: number): void;
  /** Pieces that can still be appended. */
  freePieces(): number;
  /** Writes the pieces as one packet, and forgets them. Gives the bytes written, or minus the errno. */
  write(): number;
}

/** Waits for several file descriptors. */
export interface Poller {
  /**
   * Waits until a descriptor can be read or has failed, at most `timeoutMs` (-1: without end). Gives a bit mask of the
   * descriptors that can be read, in the order in which they were given. `failed` is the mask of those in error.
   */
  wait(timeoutMs: number): number;
  readonly failed: number;
}

/** Wakes a thread that waits in a poller. The file descriptor may be handed to another thread. */
export interface Wakeup extends Disposable {
  readonly fd: number;
  ring(): void;
  /** Takes back all rings so far. */
  clear(): void;
}
