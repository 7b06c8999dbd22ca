// A server that speaks gRPC as an etcd does, and answers each call with what the test says.
import { once } from 'node:events';
import { createServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { openEtcdKv } from '../../agent/datastore/etcd-kv.ts';
import { type EtcdMethod, METHODS } from '../../agent/datastore/etcd-messages.ts';
import { decode, encode, type Shape, type WishOf } from '../../agent/datastore/protobuf.ts';
import type { Kv } from '../../agent/model/kv.ts';

/** A call, with its first message. */
export interface ScriptedCall {
  readonly method: EtcdMethod;
  readonly request: Record<string, unknown>;
  readonly stream: ServerHttp2Stream;
}

type Wish<M extends EtcdMethod> = WishOf<(typeof METHODS)[M]['response']>;

const FRAME_HEADER_BYTES = 5;
// Answers that nobody reads any more stay there for a while.
const SESSION_MEGABYTES = 1_000;

/** The store at a server that answers each call with `answer`, until the test ends. */
export async function openScriptedEtcd(answer: (call: ScriptedCall) => void): Promise<Kv> {
  const sessions = new Set<Http2Session>();
  const server = createServer({ maxSessionMemory: SESSION_MEGABYTES });
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
  });
  server.on('stream', (stream, headers) => {
    const method = String(headers[':path']).replace('/etcdserverpb.', '') as EtcdMethod;
    stream.on('error', () => undefined);
    stream.resume();
    stream.once('data', (bytes: Buffer) => {
      const message = bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + bytes.readUInt32BE(1));
      const request = decode(METHODS[method].request as Shape, message);
      answer({ method, request, stream });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const options = {
    kind: 'etcd' as const,
    endpoints: [`http://127.0.0.1:${(server.address() as AddressInfo).port}`],
    prefix: '/net',
    caFile: undefined,
    certFile: undefined,
    keyFile: undefined,
    username: undefined,
    password: undefined,
  };
  const kv = await openEtcdKv(options, { clock: systemClock, random: () => 0 });
  onTestFinished(async () => {
    await kv[Symbol.asyncDispose]();
    for (const session of sessions) session.destroy();
    server.close();
  });
  return kv;
}

/** A message in its frame. */
export function frameOf(message: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A response of a method in its frame. */
export function responseFrame<M extends EtcdMethod>(method: M, response: Wish<M>): Buffer {
  return frameOf(encode(METHODS[method].response as Shape, response as WishOf<Shape>));
}

/** Answers a call with frames and the status OK. A watch stays open. */
export function sendFrames({ method, stream }: ScriptedCall, ...frames: readonly Uint8Array[]): void {
  if (stream.destroyed) return;
  const isStream = method === 'Watch/Watch';
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: !isStream });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  for (const frame of frames) stream.write(frame);
  if (!isStream) stream.end();
}

/** Ends a call with a gRPC status other than OK. */
export function sendStatus({ stream }: ScriptedCall, code: number, message: string): void {
  stream.respond(
    { ':status': 200, 'grpc-status': String(code), 'grpc-message': message },
    { endStream: true },
  );
}
