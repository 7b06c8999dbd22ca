// Sends many requests in one message to the kernel. The kernel executes all of them before the send returns, and
// answers only the refused ones and the last one: thousands of entries cost some dozen system calls instead of
// thousands.
import { getSystemErrorName } from 'node:util';
import { timeLimit } from '../../base/clock.ts';
import { LIMITS } from '../limits.ts';
import { MessageType, Protocol, parseError, parseMessages, RawNetlinkSocket } from './library.ts';
import { u16, u32 } from './payload.ts';
import { kernelError } from './socket.ts';

/** One request to the kernel. */
export interface BatchRequest {
  /** RTM_… number. */
  readonly type: number;
  /** NLM_F_ bits without REQUEST and ACK. */
  readonly flags: number;
  /** Its length is a multiple of four. */
  readonly payload: Buffer;
  /** The kernel gives no answer, as for the end of a transaction. */
  readonly isUnanswered?: boolean;
}

/** A socket for one batch at a time. */
export interface BatchSocket extends Disposable {
  /**
   * Sends all requests, in order. Gives the name of the kernel's error for each refused request, by its place. Fails as
   * `host` when the kernel does not answer. A signal that is aborted ends it between two messages.
   */
  send(requests: readonly BatchRequest[], signal?: AbortSignal): Promise<ReadonlyMap<number, string>>;
}

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const HEADER_BYTES = 16;

/** Opens a socket for batches. Fails as `host`. */
export function openBatchSocket(protocol: Protocol = Protocol.ROUTE): BatchSocket {
  let socket: RawNetlinkSocket;
  try {
    socket = new RawNetlinkSocket(protocol, {
      recvBufferSize: LIMITS.netlinkBufferBytes,
      sendBufferSize: LIMITS.netlinkBufferBytes,
    });
  } catch (error) {
    throw kernelError('cannot open a netlink socket', error);
  }
  const { port } = socket.address();
  socket.unref();
  let sequence = 0;
  let onAnswer: ((sequence: number, errno: number) => void) | undefined;
  // A lost answer ends in a time-out. Without a listener, the error event would end the process.
  socket.on('error', () => undefined);
  socket.on('message', (bytes) => {
    try {
      for (const { type, flags, data, seq } of parseMessages(bytes)) {
        if (type === MessageType.ERROR) onAnswer?.(seq, parseError(data, flags).errno);
      }
    } catch {
      // An answer of an unknown form is ignored; an exception here would end the process.
    }
  });

  const sendBatch = async (requests: readonly BatchRequest[]): Promise<ReadonlyMap<number, string>> => {
    const refused = new Map<number, string>();
    const first = sequence + 1;
    sequence += requests.length;
    const last = first + requests.findLastIndex(({ isUnanswered }) => isUnanswered !== true);
    const parts = requests.flatMap(({ type, flags, payload }, place) => {
      const seq = first + place;
      const ack = seq === last ? NLM_F_ACK : 0;
      const length = HEADER_BYTES + payload.length;
      // struct nlmsghdr: len, type, flags, seq, pid.
      const header = [
        ...u32(length),
        ...u16(type),
        ...u16(flags | NLM_F_REQUEST | ack),
        ...u32(seq),
        ...u32(port),
      ];
      return [Buffer.from(header), payload];
    });
    let onLate: (error: Error) => void = () => undefined;
    using _ = timeLimit(LIMITS.netlinkRequestMs, 'the kernel', (error) => onLate(error));
    socket.ref();
    try {
      await new Promise<void>((resolve, reject) => {
        onLate = reject;
        onAnswer = (seq, errno) => {
          if (seq < first || seq > last) return;
          if (errno !== 0) refused.set(seq - first, nameOf(errno));
          if (seq === last) resolve();
        };
        socket.send(Buffer.concat(parts), {}, (error) => error && reject(error));
      });
    } catch (error) {
      throw kernelError('cannot change the network', error);
    } finally {
      onAnswer = undefined;
      socket.unref();
    }
    return refused;
  };

  return {
    async send(requests, signal) {
      const refused = new Map<number, string>();
      for (let start = 0; start < requests.length; start += LIMITS.netlinkBatch) {
        const batch = requests.slice(start, start + LIMITS.netlinkBatch);
        signal?.throwIfAborted();
        for (const [place, errno] of await sendBatch(batch)) refused.set(start + place, errno);
      }
      return refused;
    },
    [Symbol.dispose]: () => socket.close(),
  };
}

function nameOf(errno: number): string {
  try {
    return getSystemErrorName(errno);
  } catch {
    return `error ${-errno}`;
  }
}
