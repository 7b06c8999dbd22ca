// Asks an agent for its status over its unix socket.
import { request } from 'node:http';
import { deadline } from '../base/clock.ts';
import { errnoOf, TwillError } from '../base/errors.ts';
import { LIMITS } from './limits.ts';

/** An agent's answer. */
export interface StatusAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * Asks the agent at the socket `path`. Undefined: no agent listens there. Fails as `host` when the socket may not be
 * used, or when the answer does not come in time.
 */
export async function askAgent(
  path: string,
  question: string,
  signal?: AbortSignal,
): Promise<StatusAnswer | undefined> {
  using limit = deadline(signal, LIMITS.statusAnswerMs, `the agent at ${path}`);
  try {
    return await ask(path, question, limit);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ECONNREFUSED' || errno === 'ENOTDIR') return undefined;
    signal?.throwIfAborted();
    const denied = errno === 'EACCES' || errno === 'EPERM';
    const reason = limit.aborted ? `no answer within ${LIMITS.statusAnswerMs / 1000} s` : undefined;
    throw new TwillError('host', `cannot ask the agent at ${path}: ${reason ?? messageFor(error)}`, {
      cause: error,
      ...(errno === undefined ? {} : { errno }),
      ...(denied ? { hint: 'only root and the user of the agent may ask it' } : {}),
    });
  }
}

function messageFor(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function ask(socketPath: string, path: string, signal: AbortSignal): Promise<StatusAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path, agent: false, signal, headers: { Host: 'twill' } },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > LIMITS.statusAnswerBytes) call.destroy(new Error('the answer is too long'));
          chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    call.on('error', reject);
    call.end();
  });
}
