// The contract, held by real sockets and a pipe, and by their doubles in memory.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { createArena, createEndpoints, createPacketFile, ENDPOINT_BYTES } from '../src/index.ts';
import {
  createMemoryFile,
  createMemoryReceiver,
  createMemorySender,
  createMemorySocket,
  createMemoryTun,
  endpointBytes,
} from '../src/testing/index.ts';
import { type ContractBed, contractSuite, MESSAGE_BYTES, MESSAGES, PIECES } from './contract-suite.ts';
import { byteAt, LOOPBACK, openPair, PAYLOAD_BYTES, type Received, receiveAll } from './pair.ts';

const SENDER = { messages: MESSAGES, pieces: PIECES };
const RECEIVER = { messages: MESSAGES, messageBytes: MESSAGE_BYTES };

// A pipe that is open for reading and writing gives back the bytes written to it.
function openPipe(): { readonly fd: number } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'dgram-native-'));
  try {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const fd = openSync(join(folder, 'pipe'), constants.O_RDWR | constants.O_NONBLOCK);
    return { fd, [Symbol.dispose]: () => closeSync(fd) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function openKernelBed(): ContractBed {
  const pair = openPair({ sender: SENDER, receiver: RECEIVER });
  const pipe = openPipe();
  return {
    ...pair,
    file: createPacketFile(pair.arena, pipe.fd, PIECES),
    deliver: () => undefined,
    [Symbol.dispose]: () => {
      pair[Symbol.dispose]();
      pipe[Symbol.dispose]();
    },
  };
}

function openMemoryBed(): ContractBed {
  const arena = createArena(1 << 20);
  const endpoints = createEndpoints(arena);
  const [source, target] = [arena.reserve(ENDPOINT_BYTES), arena.reserve(ENDPOINT_BYTES)];
  endpoints.set(source, LOOPBACK, 1_000);
  endpoints.set(target, LOOPBACK, 2_000);
  const [from, to] = [createMemorySocket(1_000), createMemorySocket(2_000)];
  const tun = createMemoryTun(arena);
  const payload = arena.reserve(PAYLOAD_BYTES);
  for (let i = 0; i < PAYLOAD_BYTES; i += 1) arena.u8[payload + i] = byteAt(i);
  const receiver = createMemoryReceiver(arena, to, RECEIVER);
  const deliver = (): void => {
    to.offer(from.take().map(({ bytes }) => ({ source: endpointBytes(LOOPBACK, from.port), bytes })));
  };
  return {
    arena,
    endpoints,
    source,
    target,
    payload,
    sender: createMemorySender(arena, from, SENDER),
    receiver,
    file: createMemoryFile(
      arena,
      { read: tun.read, write: (pieces) => tun.waiting.push(pieces.gather()) && pieces.bytes() },
      PIECES,
    ),
    deliver,
    receiveBytes() {
      deliver();
      const received: Received[] = [];
      while (to.waiting() > 0) received.push(...receiveAll(arena, receiver));
      return received;
    },
    [Symbol.dispose]: () => undefined,
  };
}

describe('the kernel', () => contractSuite(openKernelBed));
describe('the doubles in memory', () => contractSuite(openMemoryBed));
