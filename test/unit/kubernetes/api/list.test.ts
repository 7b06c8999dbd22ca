// Lists of a server that behaves well and badly.
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../../agent/kubernetes/api/limits.ts';
import { NODES } from '../../../../agent/kubernetes/api/resource.ts';
import { type Respond, sendJson, sendStatus } from '../../../fakes/scripted-api.ts';
import { listJson, nodeJson } from '../../../support/node-json.ts';
import { nameOf, never, useApiBed } from './bed.ts';

const bed = useApiBed();

describe('a list', () => {
  const pages: Respond = ({ query }, response) => {
    if (query.get('continue') === null)
      return sendJson(response, listJson([nodeJson('n1'), nodeJson('n2')], 7, 'x&y'));
    sendJson(response, listJson([nodeJson('n3')], 7));
  };

  it('is read in pages', async () => {
    bed().api.respond = pages;
    expect(await bed().client.list(NODES, nameOf, never)).toEqual({
      items: ['n1', 'n2', 'n3'],
      resourceVersion: '7',
    });
    expect(bed().api.calls.map(({ query }) => query.toString())).toEqual([
      'limit=500',
      'limit=500&continue=x%26y',
    ]);
  });

  it('is read where the server packs it', async () => {
    bed().api.respond = ({ headers }, response) => {
      expect(headers['accept-encoding']).toBe('gzip');
      response.writeHead(200, { 'content-encoding': 'gzip' });
      response.end(gzipSync(JSON.stringify(listJson([nodeJson('n1')], 7))));
    };
    expect(await bed().client.list(NODES, nameOf, never)).toEqual({ items: ['n1'], resourceVersion: '7' });
  });

  it('leaves out the objects of which nothing is kept', async () => {
    bed().api.respond = pages;
    const some = (object: unknown) => (nameOf(object) === 'n2' ? undefined : nameOf(object));
    expect((await bed().client.list(NODES, some, never)).items).toEqual(['n1', 'n3']);
  });

  it('begins again where its pages expire, and gives up in the end', async () => {
    let expired = 0;
    bed().api.respond = (call, response) => {
      if (call.query.get('continue') === null || expired >= 2) return pages(call, response);
      expired += 1;
      sendStatus(response, 410, 'The provided continue parameter is too old');
    };
    expect((await bed().client.list(NODES, nameOf, never)).items).toEqual(['n1', 'n2', 'n3']);
    expired = Number.NEGATIVE_INFINITY;
    await expect(bed().client.list(NODES, nameOf, never)).rejects.toMatchObject({ kind: 'gone' });
    expect(bed().api.calls.length).toBe(6 + 6);
  });

  it('of one object tells the version of the store', async () => {
    bed().api.respond = (_, response) => sendJson(response, listJson([nodeJson('n1')], 7, 'more'));
    expect(await bed().client.version(NODES, never)).toBe('7');
    expect(bed().api.calls.map(({ query }) => query.toString())).toEqual(['limit=1']);
  });

  it.each([
    ['pages without objects', listJson([], 7, 'x'), 'is empty'],
    ['no version', { kind: 'NodeList', metadata: {}, items: [] }, 'resource version'],
    ['an object in place of a list', nodeJson('n1'), 'resource version'],
  ])('with %s is refused', async (_, answer, reason) => {
    bed().api.respond = (_call, response) => sendJson(response, answer);
    await expect(bed().client.list(NODES, nameOf, never)).rejects.toThrow(reason);
  });

  it('with too many objects is refused, however they are packed', async () => {
    const many = `{"kind":"NodeList","metadata":{"resourceVersion":"1"},"items":[${'{},'.repeat(LIMITS.listedItems)}{}]}`;
    bed().api.respond = (_, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(many));
    await expect(bed().client.list(NODES, () => undefined, never)).rejects.toMatchObject({
      kind: 'unreadable',
      message: expect.stringContaining('more than 50000 objects'),
    });
  });
});
