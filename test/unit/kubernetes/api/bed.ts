// A client, and a server with TLS that behaves as the test says.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { systemClock } from '../../../../agent/base/clock.ts';
import { type ApiAccess, anonymousAccess } from '../../../../agent/kubernetes/api/access.ts';
import { type ApiClient, createApiClient } from '../../../../agent/kubernetes/api/client.ts';
import { type ScriptedApi, sendJson, startScriptedApi } from '../../../fakes/scripted-api.ts';
import { makeAuthority, makeClientCertificate } from '../../../lab/certificates.ts';
import { nodeJson } from '../../../support/node-json.ts';

export const never = new AbortController().signal;
export const nameOf = (object: unknown): string => (object as { metadata: { name: string } }).metadata.name;

export interface ApiBed extends AsyncDisposable {
  /** It answers each request with a Node, unless the test sets another behaviour. */
  readonly api: ScriptedApi;
  /** The client opened last. */
  readonly client: ApiClient;
  /** The path of a file of the bed. `ca.pem` is the CA that the client reads. */
  file(name: string): string;
  /** Copies the CA `one` or `two` into the file that the client reads. */
  useCa(name: string): Promise<void>;
  certificate(name: string): Promise<{ readonly cert: Buffer; readonly key: Buffer }>;
  /** Replaces the client. */
  open(more?: Partial<ApiAccess>, clock?: typeof systemClock): ApiClient;
}

/** The certificates of two authorities, `one` and `two`, in a new folder. */
async function makeCertificates(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-kube-'));
  await makeAuthority(folder, 'one');
  await makeAuthority(folder, 'two');
  await makeClientCertificate(folder, 'one', 'agent');
  return folder;
}

async function openApiBed(folder: string): Promise<ApiBed> {
  const file = (name: string): string => join(folder, name);
  const useCa = async (name: string): Promise<void> =>
    writeFile(file('ca.pem'), await readFile(file(`${name}-ca.pem`)));
  const certificate = async (name: string) => ({
    cert: await readFile(file(`${name}-server.pem`)),
    key: await readFile(file(`${name}-server.key`)),
  });
  await useCa('one');
  const api = await startScriptedApi((_, response) => sendJson(response, nodeJson('n1')), {
    ...(await certificate('one')),
    ca: await readFile(file('one-ca.pem')),
    requestCert: true,
    rejectUnauthorized: false,
  });
  const create = (more: Partial<ApiAccess>, clock = systemClock): ApiClient => {
    const access = { ...anonymousAccess(new URL(api.url)), ca: { file: file('ca.pem') }, ...more };
    return createApiClient(access, { clock, random: () => 0.5 });
  };
  let client = create({});
  return {
    api,
    get client() {
      return client;
    },
    file,
    useCa,
    certificate,
    open(more = {}, clock = systemClock) {
      client[Symbol.dispose]();
      client = create(more, clock);
      return client;
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await api[Symbol.asyncDispose]();
      await rm(file('token'), { force: true });
    },
  };
}

/** Opens a bed before each test of a file, and closes it after it. */
export function useApiBed(): () => ApiBed {
  let folder: string;
  let bed: ApiBed;
  beforeAll(async () => {
    folder = await makeCertificates();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    bed = await openApiBed(folder);
  });
  afterEach(() => bed[Symbol.asyncDispose]());
  return () => bed;
}
