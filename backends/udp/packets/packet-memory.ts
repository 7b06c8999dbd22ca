// The bytes that packets lie in, in the views that the forwarder's parts need. A packet is named by the offset of its
// first byte.
//
// A DataView reads and writes at any alignment, in network order, and throws outside its bytes. Words and halves are
// for headers that are known to be aligned; they take fewer instructions.

export interface PacketMemory {
  readonly bytes: Uint8Array;
  /** 32-bit words in the machine's order, which is little endian on every machine that is supported. */
  readonly words: Uint32Array;
  /** 16-bit words, in the same order. */
  readonly halves: Uint16Array;
  readonly view: DataView;
}

/** The views of a block of memory; `bytes` has to show all of it. */
export function createPacketMemory(bytes: Uint8Array): PacketMemory {
  const { buffer, byteOffset, byteLength } = bytes;
  return {
    bytes,
    words: new Uint32Array(buffer, byteOffset, byteLength >>> 2),
    halves: new Uint16Array(buffer, byteOffset, byteLength >>> 1),
    view: new DataView(buffer, byteOffset, byteLength),
  };
}
