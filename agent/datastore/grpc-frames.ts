// The frames of gRPC's messages, and the errors of its calls.
import { LIMITS } from './limits.ts';

const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;

/** The end of a call with a gRPC status other than OK. */
export class GrpcError extends Error {
  /** One of gRPC's status codes, never 0. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** A message is larger than any answer may be. Nothing of it was kept. */
export class AnswerTooLarge extends GrpcError {
  constructor(bytes: number) {
    super(RESOURCE_EXHAUSTED, `the server sent a message of ${bytes} bytes`);
  }
}

// The header of a message: one byte, 0 if the message is not compressed, and four bytes of length.
const FRAME_HEADER_BYTES = 5;

/** A message in its frame. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, FRAME_HEADER_BYTES);
  return frame;
}

/** Splits the bytes of a stream into messages. The function throws a GrpcError for a message that cannot be read. */
export function createDeframer(onMessage: (message: Buffer) => void): (bytes: Buffer) => void {
  let parts: Buffer[] = [];
  let size = 0;
  let needed = FRAME_HEADER_BYTES;
  return (bytes) => {
    parts.push(bytes);
    size += bytes.length;
    while (size >= needed) {
      const all = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
      const length = all.readUInt32BE(1);
      if (all[0] !== 0) throw new GrpcError(UNIMPLEMENTED, 'the server sent a compressed message');
      if (length > LIMITS.datastoreAnswerBytes) throw new AnswerTooLarge(length);
      const end = FRAME_HEADER_BYTES + length;
      needed = size < end ? end : FRAME_HEADER_BYTES;
      const rest = size < end ? all : all.subarray(end);
      parts = [rest];
      size = rest.length;
      if (rest !== all) onMessage(all.subarray(FRAME_HEADER_BYTES, end));
    }
  };
}
