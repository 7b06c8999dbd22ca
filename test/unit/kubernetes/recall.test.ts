// The own Node at a start, with and without an API that answers, in virtual time.
import { describe, expect, it } from 'vitest';
import { annotationNames, DEFAULT_PREFIX } from '../../../agent/kubernetes/annotation-names.ts';
import { ApiError } from '../../../agent/kubernetes/api/api-error.ts';
import type { CachedNodes } from '../../../agent/kubernetes/node-cache.ts';
import { createNodeReader, type NodeObject } from '../../../agent/kubernetes/node-object.ts';
import { findOrRecall } from '../../../agent/kubernetes/recall.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';
import { nodeJson } from '../../support/node-json.ts';

const read = createNodeReader(annotationNames(DEFAULT_PREFIX, 'prefix'));
const [served, old] = ['served', 'old'].map((name) => read(nodeJson(name)) as NodeObject) as [
  NodeObject,
  NodeObject,
];
const LAST: CachedNodes = { version: 7, own: old, peers: [] };
type Answer = { readonly afterMs: number; readonly error?: ApiError };

function start(last: CachedNodes | Error | undefined, answers: readonly Answer[]) {
  const clock = createVirtualClock();
  const { lines, log } = captureLog('kubernetes');
  const failures: string[] = [];
  const controller = new AbortController();
  const found = findOrRecall(
    {
      cache: { read: async () => (last instanceof Error ? Promise.reject(last) : last) },
      async find(onFailure, signal) {
        for (const { afterMs, error } of answers) {
          await clock.sleep(afterMs, signal);
          signal.throwIfAborted();
          if (error === undefined) return served;
          onFailure(error);
          signal.throwIfAborted();
        }
        throw new Error('the test has no further answer');
      },
      onFailure: ({ message }) => failures.push(message),
      clock,
      log,
    },
    controller.signal,
  );
  found.catch(() => undefined);
  return { clock, lines, failures, controller, found };
}

const away = new ApiError('unreachable', 'no route to host');
const missing = new ApiError('not-found', 'Node n1 does not exist');

describe('the own Node at a start', () => {
  it("is the API's where it answers within a second", async () => {
    const { clock, found, lines } = start(LAST, [{ afterMs: 900 }]);
    await clock.advance(900);
    expect(await found).toEqual({ node: served, last: undefined });
    expect(lines).toEqual([]);
  });

  it.each<[string, readonly Answer[], number, string]>([
    ['is silent', [{ afterMs: 60_000 }], 1_000, 'has not answered for 1000 ms'],
    ['cannot be reached', [{ afterMs: 10, error: away }], 10, 'no route to host'],
  ])('is that of the last run where the API %s', async (_, answers, ms, reason) => {
    const { clock, found, lines } = start(LAST, answers);
    await clock.advance(ms);
    expect(await found).toEqual({ node: old, last: LAST });
    expect(lines).toEqual([expect.stringContaining('going on with the Nodes of the last run')]);
    expect(lines[0]).toContain(reason);
  });

  it('is waited for where the API says that it does not exist, or no file is believed', async () => {
    for (const last of [undefined, new Error('/x is not believed: its mode is 644')]) {
      const { clock, found, failures, lines } = start(last, [
        { afterMs: 5_000, error: away },
        { afterMs: 5_000 },
      ]);
      await clock.advance(10_000);
      expect(await found).toEqual({ node: served, last: undefined });
      expect(failures).toEqual(['no route to host']);
      expect(lines).toHaveLength(last === undefined ? 0 : 1);
    }
    const { clock, found, failures } = start(LAST, [
      { afterMs: 10, error: missing },
      { afterMs: 5_000, error: away },
      { afterMs: 5_000 },
    ]);
    await clock.advance(11_000);
    expect(await found).toEqual({ node: served, last: undefined });
    expect(failures).toEqual(['Node n1 does not exist', 'no route to host']);
  });

  it('ends with the reason of its signal', async () => {
    const { clock, found, controller } = start(LAST, [{ afterMs: 60_000 }]);
    await clock.settle();
    controller.abort(new Error('stopped'));
    await expect(found).rejects.toThrow('stopped');
  });
});
