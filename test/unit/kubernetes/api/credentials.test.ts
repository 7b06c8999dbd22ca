// Tokens, certificates and CAs that are exchanged while a client runs.
import { rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { NODES } from '../../../../agent/kubernetes/api/resource.ts';
import { sendJson } from '../../../fakes/scripted-api.ts';
import { nodeJson } from '../../../support/node-json.ts';
import { nameOf, never, useApiBed } from './bed.ts';

const bed = useApiBed();

describe('credentials', () => {
  it('the token is read again for each request, and is in no message', async () => {
    await writeFile(bed().file('token'), 'first\n');
    bed().open({ token: { file: bed().file('token') } });
    await bed().client.get(NODES, 'n1', never);
    await writeFile(bed().file('token'), 'second');
    await bed().client.get(NODES, 'n1', never);
    await writeFile(bed().file('token'), 'a\nb');
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toThrow(
      /^[^\n]*token[^\n]*is not one of printable characters$/,
    );
    await rm(bed().file('token'));
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toThrow('cannot use the token');
    expect(bed().api.calls.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer first',
      'Bearer second',
    ]);
  });

  it('a client certificate is shown', async () => {
    const shown: unknown[] = [];
    bed().api.respond = (_, response) => {
      shown.push(
        (
          response.socket as unknown as { getPeerCertificate(): { subject?: { CN: string } } }
        ).getPeerCertificate().subject?.CN,
      );
      sendJson(response, nodeJson('n1'));
    };
    bed().open({
      client: { cert: { file: bed().file('one-agent.pem') }, key: { file: bed().file('one-agent.key') } },
    });
    await bed().client.get(NODES, 'n1', never);
    expect(shown).toEqual(['agent']);
  });

  it('a server with a certificate of another CA is not trusted, unless that is asked for', async () => {
    bed().api.setCertificate(await bed().certificate('two'));
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toMatchObject({
      kind: 'unreachable',
      hint: expect.stringContaining('certificate-authority'),
    });
    expect(bed().api.calls).toEqual([]);
    bed().open({ ca: undefined, isVerified: false });
    expect(nameOf(await bed().client.get(NODES, 'n1', never))).toBe('n1');
  });

  it('a server with another name is not trusted', async () => {
    bed().open({ serverName: 'kubernetes.default' });
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toThrow(/does not match/);
    expect(bed().api.calls).toEqual([]);
  });

  it('the file of the CA may be exchanged before the certificate of the server', async () => {
    await bed().client.get(NODES, 'n1', never);
    await bed().useCa('two');
    bed().client.reconnect();
    await bed().client.get(NODES, 'n1', never);
    await writeFile(bed().file('ca.pem'), 'half wri');
    bed().client.reconnect();
    await bed().client.get(NODES, 'n1', never);
    await bed().useCa('two');
    bed().api.setCertificate(await bed().certificate('two'));
    bed().client.reconnect();
    await bed().client.get(NODES, 'n1', never);
    // The new one has proven right: the former is trusted no more.
    bed().api.setCertificate(await bed().certificate('one'));
    bed().client.reconnect();
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('the certificate of the server may be exchanged before the file of the CA', async () => {
    await bed().client.get(NODES, 'n1', never);
    bed().api.setCertificate(await bed().certificate('two'));
    bed().client.reconnect();
    await expect(bed().client.get(NODES, 'n1', never)).rejects.toMatchObject({ kind: 'unreachable' });
    await bed().useCa('two');
    await bed().client.get(NODES, 'n1', never);
  });
});
