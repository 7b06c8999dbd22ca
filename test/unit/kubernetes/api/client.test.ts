// Requests to a server with TLS that behaves well and badly.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../../agent/base/clock.ts';
import { LIMITS } from '../../../../agent/kubernetes/api/limits.ts';
import { NODES } from '../../../../agent/kubernetes/api/resource.ts';
import { sendJson, sendStatus, startScriptedApi } from '../../../fakes/scripted-api.ts';
import { createVirtualClock } from '../../../fakes/virtual-clock.ts';
import { nodeJson } from '../../../support/node-json.ts';
import { nameOf, never, useApiBed } from './bed.ts';

const bed = useApiBed();

describe('a request', () => {
  it('asks for an object at its path, below that of the server, and keeps the connection', async () => {
    const server = new URL(`${bed().api.url}/k8s/clusters/c-1/`);
    bed().open({ server });
    expect(nameOf(await bed().client.get(NODES, 'n1', never))).toBe('n1');
    await bed().client.get(
      { apiVersion: 'apps/v1', plural: 'daemonsets', namespace: 'a b' },
      'x/../y',
      never,
    );
    expect(bed().api.calls.map(({ path, connection }) => `${path} ${connection}`)).toEqual([
      '/k8s/clusters/c-1/api/v1/nodes/n1 1',
      '/k8s/clusters/c-1/apis/apps/v1/namespaces/a%20b/daemonsets/x%2F..%2Fy 1',
    ]);
  });

  it('gives undefined for an object that does not exist', async () => {
    bed().api.respond = (_, response) => sendStatus(response, 404, 'nodes "n1" not found');
    expect(await bed().client.get(NODES, 'n1', never)).toBeUndefined();
  });

  it('goes over http, too', async () => {
    await using plain = await startScriptedApi((_, response) => sendJson(response, nodeJson('n1')));
    bed().open({ server: new URL(plain.url), ca: undefined });
    expect(nameOf(await bed().client.get(NODES, 'n1', never))).toBe('n1');
  });

  it.each([
    ['strategic', 'application/strategic-merge-patch+json'],
    ['merge', 'application/merge-patch+json'],
  ] as const)('patches a sub-resource with a %s patch', async (type, contentType) => {
    await bed().client.patch(
      NODES,
      'n1',
      { type, subresource: 'status', body: { metadata: { a: 'ü' } } },
      never,
    );
    const [call] = bed().api.calls;
    expect([call?.method, call?.path, call?.headers['content-type'], call?.body]).toEqual([
      'PATCH',
      '/api/v1/nodes/n1/status',
      contentType,
      '{"metadata":{"a":"ü"}}',
    ]);
  });

  it('is repeated at once on another connection where a kept one was closed', async () => {
    await bed().client.get(NODES, 'n1', never);
    bed().api.respond = ({ connection }, response) => {
      if (connection === 1) response.socket?.destroy();
      else sendJson(response, nodeJson('n1'));
    };
    expect(nameOf(await bed().client.get(NODES, 'n1', never))).toBe('n1');
    expect(bed().api.calls.map(({ connection }) => connection)).toEqual([1, 1, 2]);
  });
});

describe('a failure', () => {
  const nodeUser = 'User "system:node:n1" cannot list resource "nodes" in API group "" at the cluster scope';
  it.each([
    [401, 'Unauthorized', 'unauthorized', 'cannot list nodes at URL: HTTP status 401: Unauthorized'],
    [403, 'nodes is forbidden', 'forbidden', 'cannot list nodes at URL: HTTP status 403: nodes is forbidden'],
    [403, nodeUser, 'forbidden', `cannot list nodes at URL: HTTP status 403: ${nodeUser}`],
    [410, 'expired', 'gone', 'cannot list nodes at URL: HTTP status 410: expired'],
    [422, 'no', 'rejected', 'cannot list nodes at URL: HTTP status 422: no'],
    [429, 'too many', 'busy', 'cannot list nodes at URL: HTTP status 429: too many'],
    [
      504,
      'Too large resource version',
      'busy',
      'cannot list nodes at URL: HTTP status 504: Too large resource version',
    ],
    [302, 'elsewhere', 'unreadable', 'cannot list nodes at URL: HTTP status 302: elsewhere'],
  ])('of status %i, %s, is %s in one line', async (code, message, kind, line) => {
    bed().api.respond = (_, response) => sendStatus(response, code, message);
    const error = await bed()
      .client.list(NODES, nameOf, never)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'datastore', kind, message: line.replace('URL', bed().api.url) });
  });

  it.each([
    ['nodes is forbidden', 'its ClusterRole needs the verb list on nodes'],
    [nodeUser, /identity of kubelet, which from Kubernetes 1\.32 on reads its own Node alone/],
    ['User "system:anonymous" cannot', /no credentials/],
  ])('of status 403, %s, comes with a hint', async (message, hint) => {
    bed().api.respond = (_, response) => sendStatus(response, 403, message);
    await expect(bed().client.list(NODES, nameOf, never)).rejects.toMatchObject({
      hint: hint instanceof RegExp ? expect.stringMatching(hint) : hint,
    });
  });

  it('names the sub-resource that may not be patched', async () => {
    bed().api.respond = (_, response) => sendStatus(response, 403, 'no');
    const patched = bed().client.patch(
      NODES,
      'n1',
      { type: 'merge', subresource: 'status', body: {} },
      never,
    );
    await expect(patched).rejects.toMatchObject({
      hint: 'its ClusterRole needs the verb patch on nodes/status',
    });
  });

  it.each([
    ['7', 7_000],
    ['0', undefined],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
    ['999999999', LIMITS.retryAfterMs],
  ])('takes Retry-After: %s as a pause of %s ms', async (retryAfter, retryAfterMs) => {
    bed().api.respond = (_, response) => sendStatus(response, 429, 'busy', { 'retry-after': retryAfter });
    await expect(bed().client.list(NODES, nameOf, never)).rejects.toMatchObject({
      kind: 'busy',
      retryAfterMs,
    });
  });

  it('of a proxy that answers in HTML has the status alone', async () => {
    bed().api.respond = (_, response) => response.writeHead(502).end('<html>'.repeat(100_000));
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toMatchObject({
      kind: 'busy',
      message: `cannot get nodes at ${bed().api.url}: HTTP status 502`,
    });
  });

  it('of a connection that is refused names the reason', async () => {
    bed().open({ server: new URL('https://127.0.0.1:1') });
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toMatchObject({
      kind: 'unreachable',
      errno: 'ECONNREFUSED',
      message: 'cannot get nodes at https://127.0.0.1:1: connection refused (ECONNREFUSED)',
    });
  });

  it('is an answer that is no JSON, or too large', async () => {
    bed().api.respond = (_, response) => response.end('<html>');
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toMatchObject({ kind: 'unreadable' });
    bed().api.respond = (_, response) => response.end(`"${'x'.repeat(LIMITS.objectBytes)}"`);
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toThrow('larger than');
  });

  it('is an answer that is cut off', async () => {
    bed().api.respond = (_, response) => {
      response.write('{"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[]}', () =>
        response.destroy(),
      );
    };
    await expect(bed().client.list(NODES, nameOf, never)).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('is a server that takes the request and is silent', async () => {
    const clock = createVirtualClock();
    bed().open({}, clock);
    bed().api.respond = () => undefined;
    const failed = bed()
      .client.get(NODES, 'n1', never)
      .catch((error: unknown) => error);
    await expect.poll(() => bed().api.calls.length).toBe(1);
    await clock.advance(LIMITS.silenceMs);
    expect(await failed).toMatchObject({
      kind: 'unreachable',
      message: `cannot get nodes at ${bed().api.url}: silent for 30000 ms`,
    });
    expect(clock.sleepers).toBe(0);
  });

  it('is a server that sends a byte now and then for ever', async () => {
    const clock = createVirtualClock();
    bed().open({}, clock);
    let drip: (() => void) | undefined;
    let heard = 0;
    bed().api.respond = (_, response) => {
      drip = () =>
        void response.write(' ', () => {
          heard += 1;
        });
      drip();
    };
    const failed = bed()
      .client.get(NODES, 'n1', never)
      .catch((error: unknown) => error);
    await expect.poll(() => heard).toBe(1);
    for (let passedMs = 20_000; passedMs < LIMITS.answerMs; passedMs += 20_000) {
      const before = heard;
      // The client reads the byte before time goes on.
      await systemClock.sleep(20);
      await clock.advance(20_000);
      drip?.();
      await expect.poll(() => heard).toBe(before + 1);
    }
    await systemClock.sleep(20);
    await clock.advance(20_000);
    expect(await failed).toMatchObject({
      message: expect.stringContaining('no whole answer within 120000 ms'),
    });
  });

  it('is the reason of the signal where that is aborted', async () => {
    bed().api.respond = () => undefined;
    const controller = new AbortController();
    const failed = bed()
      .client.get(NODES, 'n1', controller.signal)
      .catch((error: unknown) => error);
    await expect.poll(() => bed().api.calls.length).toBe(1);
    controller.abort(new Error('stop'));
    expect(await failed).toEqual(new Error('stop'));
    await expect(bed().client.get(NODES, 'n1', controller.signal)).rejects.toThrow('stop');
    expect(bed().api.calls.length).toBe(1);
  });

  it('is of kind given-up after a change of the host network, and the next request has a new connection', async () => {
    bed().api.respond = () => undefined;
    const failed = bed()
      .client.get(NODES, 'n1', never)
      .catch((error: unknown) => error);
    await expect.poll(() => bed().api.calls.length).toBe(1);
    bed().client.reconnect();
    expect(await failed).toMatchObject({ kind: 'given-up' });
    bed().api.respond = (_, response) => sendJson(response, nodeJson('n1'));
    await bed().client.get(NODES, 'n1', never);
    expect(bed().api.calls.map(({ connection }) => connection)).toEqual([1, 2]);
  });
});
