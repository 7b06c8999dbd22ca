// A receiver whose kernel is a memory socket.
import { arenaBytes, checkCount } from '../arena.ts';
import type { Arena, Receiver } from '../contract.ts';
import { ENDPOINT } from '../layout.ts';
import { UIO_MAXIOV } from '../numbers.ts';
import { MAX_MESSAGE_BYTES, type ReceiverOptions } from '../receiver.ts';
import type { MemorySocket } from './memory-socket.ts';

/** Makes a receiver of a socket in memory. It takes less of the arena than `receiverBytes`. */
export function createMemoryReceiver(arena: Arena, socket: MemorySocket, options: ReceiverOptions): Receiver {
  const capacity = checkCount('messages', options.messages, UIO_MAXIOV);
  const messageBytes = checkCount('messageBytes', options.messageBytes, MAX_MESSAGE_BYTES);
  const sourcesAt = arena.reserve(capacity * ENDPOINT.bytes);
  const strideBytes = arenaBytes(messageBytes);
  const roomAt = arena.reserve(capacity * strideBytes);
  const lengths = new Uint32Array(capacity);
  const segments = new Uint32Array(capacity);
  const truncated = new Uint8Array(capacity);

  return {
    capacity,
    receive(most = capacity) {
      checkCount('most', most, capacity);
      let count = 0;
      for (; count < most; count += 1) {
        const message = socket.next();
        if (message === undefined) break;
        const { bytes, segmentBytes = 0 } = message;
        const isLonger = bytes.length > messageBytes;
        const length = isLonger ? messageBytes : bytes.length;
        arena.u8.set(isLonger ? bytes.subarray(0, length) : bytes, roomAt + count * strideBytes);
        arena.u8.set(message.source, sourcesAt + count * ENDPOINT.bytes);
        lengths[count] = length;
        segments[count] = segmentBytes === 0 || segmentBytes > length ? length : segmentBytes;
        truncated[count] = isLonger ? 1 : 0;
      }
      return count;
    },
    offset: (i) => roomAt + i * strideBytes,
    length: (i) => lengths[i] ?? 0,
    segmentBytes: (i) => segments[i] ?? 0,
    source: (i) => sourcesAt + i * ENDPOINT.bytes,
    isTruncated: (i) => truncated[i] === 1,
  };
}
