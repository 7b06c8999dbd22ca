// Answers `twill status` for the agent, and leaves its last status for the time after it. The answers are loaded at the
// first question.
import { createBell } from './base/bell.ts';
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/log.ts';
import type { Condition } from './model/condition.ts';
import type { NodeState } from './model/status.ts';
import type { Node } from './node/node.ts';
import type { HttpAnswer } from './observe/http-server.ts';
import { createReadiness } from './observe/readiness.ts';
import { keepStatusFile, statusFile } from './observe/status-file.ts';
import type { StatusInput } from './observe/status-report.ts';
import { openStatusSocket } from './observe/status-socket.ts';
import type { AgentOptions } from './options.ts';

export interface StatusDeps {
  /** Undefined before the leases are open. */
  readonly node: () => Node | undefined;
  readonly conditions: () => readonly Condition[];
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface StatusService extends AsyncDisposable {
  /** Takes notice that the node is ready for the first time. */
  noticeReady(): void;
  /** Keeps the last status until `signal` is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * Starts to answer. Fails as `conflict` when another agent answers at the socket, and as `host` when the path cannot be
 * used. Undefined: no socket is wanted.
 */
export async function serveStatus(
  { statusSocket, subnetFile, datastore }: AgentOptions,
  { node, conditions, version, clock, log }: StatusDeps,
): Promise<StatusService | undefined> {
  if (statusSocket === undefined) return undefined;
  const startedMs = clock.monotonicMs();
  const readiness = createReadiness(conditions, clock);
  const bell = createBell(clock);
  const input = (): StatusInput => ({
    state: node()?.state() ?? nothingYet(conditions()),
    version,
    storeKind: datastore.kind,
    startedMs,
    readySinceMs: readiness.look().sinceMs,
    clock,
  });
  const load = () => import('./observe/status-answers.ts');
  const socket = await openStatusSocket(statusSocket, {
    '/v1/status': async () => (await load()).answerStatus(input()),
    '/v1/peers': async (url) => (await load()).answerPeers(input(), url),
    '/v1/peers/': async (url) => (await load()).answerPeer(input(), url),
    '/v1/diff': async (): Promise<HttpAnswer> =>
      (await load()).answerDiff(async (signal) => node()?.difference(signal)),
  });
  return {
    noticeReady: () => bell.ring(),
    run: (signal) =>
      keepStatusFile(
        {
          path: statusFile(subnetFile),
          reason: () => readiness.look().reason,
          text: async () => (await load()).answerStatus(input()).body,
          bell,
          log,
        },
        signal,
      ),
    [Symbol.asyncDispose]: () => socket[Symbol.asyncDispose](),
  };
}

function nothingYet(conditions: readonly Condition[]): NodeState {
  return {
    conditions,
    peerConditions: [],
    host: undefined,
    config: undefined,
    backend: undefined,
    subnets: undefined,
    term: undefined,
    leases: [],
    store: { isConnected: false, heardMs: undefined },
    kernel: { objects: 0, device: undefined, repaired: 0, repairs: [] },
    firewall: undefined,
  };
}
