// Listens at the unix socket of the status, for the agent's own user and root alone.
import { lstat, unlink } from 'node:fs/promises';
import { asTwillError, errnoOf, TwillError } from '../base/errors.ts';
import { createHttpServer, type Routes } from './http-server.ts';
import { LIMITS } from './limits.ts';
import { askAgent } from './status-client.ts';

// The socket is made with the mode 0600: nobody else can connect, not even before a chmod.
const UMASK = 0o177;

/** Whether the system can have a socket at this path. */
export function isSocketPath(path: string): boolean {
  return Buffer.byteLength(path) <= LIMITS.socketPathBytes;
}

/**
 * Starts to answer at the socket `path`, and replaces one that a killed agent left behind. Fails as `conflict` when
 * another agent answers there, and as `host` when the path cannot be used. Disposal removes the socket.
 */
export async function openStatusSocket(path: string, routes: Routes): Promise<AsyncDisposable> {
  await removeLeftBehind(path);
  const server = createHttpServer(routes);
  server.maxConnections = LIMITS.statusConnections;
  server.timeout = LIMITS.statusSilenceMs;
  try {
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject);
      // It is bound within the call.
      const before = process.umask(UMASK);
      try {
        server.listen(path, resolve);
      } finally {
        process.umask(before);
      }
    });
  } catch (error) {
    throw asTwillError(error, 'host', `cannot listen at ${path}`, HINT);
  }
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const HINT = 'choose another --status-socket, or turn it off with --status-socket=off';

async function removeLeftBehind(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw asTwillError(error, 'host', `cannot listen at ${path}`, HINT);
  });
  if (stats === undefined) return;
  if (!stats.isSocket())
    throw new TwillError('host', `cannot listen at ${path}: it is no socket`, { hint: HINT });
  if ((await isAnswered(path)) === false)
    return unlink(path).catch((error: unknown) => {
      throw asTwillError(error, 'host', `cannot replace the socket ${path}`, HINT);
    });
  throw new TwillError('conflict', `another agent runs on this host: it listens at ${path}`, {
    hint: 'stop it first; two agents undo the work of each other',
  });
}

// One that does not answer in time is there all the same.
async function isAnswered(path: string): Promise<boolean> {
  try {
    return (await askAgent(path, '/v1/status')) !== undefined;
  } catch {
    return true;
  }
}
