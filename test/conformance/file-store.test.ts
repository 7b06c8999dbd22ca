// Faults that only a store in a folder can have: other processes, crashes, foreign files and permissions.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openFileKv } from '../../agent/datastore/file-kv.ts';
import { LIMITS } from '../../agent/datastore/limits.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { labProgram } from '../lab/paths.ts';
import { waitFor } from '../lab/wait.ts';
import { type Need, title } from '../support/needs.ts';
import { watch } from './watched.ts';

const PROCESSES = 30;
const need: Need = { missing: !existsSync(labProgram('store-writer')[1]), reason: 'needs npm run build' };

async function folder(): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'tw-store-'));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  return join(parent, 'store');
}

async function open(directory: string): Promise<Kv> {
  const kv = await openFileKv({ directory, clock: systemClock, random: systemRandom });
  onTestFinished(() => kv[Symbol.asyncDispose]());
  return kv;
}

function start(directory: string, ...args: readonly string[]) {
  const [node, program] = labProgram('store-writer');
  const child = spawn(node, [program, directory, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  return { child, output: () => output.trim(), closed: once(child, 'close') };
}

describe.skipIf(need.missing)(title('a store folder shared by processes', need), () => {
  it(`a shared store folder gives each of ${PROCESSES} processes that start at the same instant a key of its own`, {
    timeout: 60_000,
  }, async () => {
    const directory = await folder();
    const kv = await open(directory);
    const watched = await watch(kv, '/keys/', 1);
    const at = systemClock.wallMs() + 4_000;
    const writers = Array.from({ length: PROCESSES }, () => start(directory, 'claim', String(at)));
    await Promise.all(writers.map(({ closed }) => closed));
    const tookMs = systemClock.wallMs() - at;
    expect(writers.map(({ child }) => child.exitCode)).toEqual(writers.map(() => 0));
    expect(new Set(writers.map(({ output }) => output())).size).toBe(PROCESSES);
    expect((await kv.list('/keys/')).entries).toHaveLength(PROCESSES);
    await waitFor('all events of the watch', 5_000, () => watched.events.length === 1 + PROCESSES);
    expect(tookMs).toBeLessThan(10_000);
  });

  it('a shared store folder stays intact when processes are killed while they write', {
    timeout: 60_000,
  }, async () => {
    const directory = await folder();
    const kv = await open(directory);
    await kv.create('/kept', 'x', undefined);
    for (let round = 0; round < 5; round++) {
      const writers = Array.from({ length: 4 }, () => start(directory, 'churn'));
      await Promise.all(
        writers.map(({ output }) => waitFor('the writer has begun', 20_000, () => output() !== '')),
      );
      const { revision } = await kv.list('/');
      await waitFor('they write', 20_000, async () => (await kv.list('/')).revision > revision + 20);
      for (const { child } of writers) child.kill('SIGKILL');
      await Promise.all(writers.map(({ closed }) => closed));
      expect(await kv.get('/kept')).toBeDefined();
    }
    const fresh = await open(directory);
    expect(await fresh.list('/')).toEqual(await kv.list('/'));
    const names = await readdir(directory);
    expect(names.filter((name) => name.startsWith('rev-')).length).toBeLessThanOrEqual(
      LIMITS.fileStoreRevisions + 4,
    );
  });
});

describe('the folder of a store', () => {
  it('a store folder accepts no commit of a process that slept while its revision was written and pruned', async () => {
    const directory = await folder();
    const path = (revision: number): string =>
      join(directory, `rev-${String(revision).padStart(12, '0')}.json`);
    // The process reads the end of the key's session between reading and writing. It sleeps there.
    let sleep = (): void => undefined;
    const clock = {
      ...systemClock,
      wallMs: () => {
        sleep();
        return systemClock.wallMs();
      },
    };
    const kv = await openFileKv({ directory, clock, random: systemRandom });
    onTestFinished(() => kv[Symbol.asyncDispose]());
    await kv.create('/a', 'x', await kv.openSession(60));
    const before = await kv.list('/');
    sleep = () => {
      sleep = () => undefined;
      const document: Record<string, unknown> = JSON.parse(readFileSync(path(before.revision), 'utf8'));
      writeFileSync(path(100), JSON.stringify({ ...document, revision: 100, commits: ['others'] }));
      unlinkSync(path(before.revision));
    };
    expect(await kv.create('/b', 'mine', undefined)).toMatchObject({ revision: 101 });
    expect((await readdir(directory)).filter((name) => name.startsWith('rev-'))).toEqual([
      'rev-000000000100.json',
      'rev-000000000101.json',
    ]);
  });

  it('a store folder is made with permissions for its owner alone', async () => {
    const directory = await folder();
    const kv = await open(directory);
    await kv.create('/a', 'x', await kv.openSession(60));
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(directory, { recursive: true })) {
      expect((await stat(join(directory, name))).mode & 0o077, name).toBe(0);
    }
  });

  it('a store folder holds a limited number of revisions', async () => {
    const directory = await folder();
    const kv = await open(directory);
    for (let i = 0; i < LIMITS.fileStoreRevisions + 10; i++) await kv.create(`/${i}`, 'x', undefined);
    const names = await readdir(directory);
    expect(names.filter((name) => name.startsWith('rev-'))).toHaveLength(LIMITS.fileStoreRevisions);
  });

  it('a store folder loses the temporary files of killed processes after a while', async () => {
    const directory = await folder();
    await open(directory);
    const old = join(directory, '.tmp-1-dead-1');
    await writeFile(old, '{');
    await utimes(old, 1, 1);
    await writeFile(join(directory, '.tmp-2-living-1'), '{');
    await open(directory);
    expect((await readdir(directory)).toSorted()).toEqual(['.tmp-2-living-1', 'sessions']);
  });

  it('a store folder is refused in one line when it holds foreign files', async () => {
    const directory = await folder();
    await mkdir(directory);
    await writeFile(join(directory, 'passwd'), 'x');
    await expect(open(directory)).rejects.toMatchObject({
      code: 'datastore',
      message: `cannot use the store in ${directory}: "passwd" does not belong to a store`,
    });
  });

  it('a store folder is refused in one line when every user may write it', async () => {
    const directory = await folder();
    await mkdir(directory);
    await chmod(directory, 0o777);
    await expect(open(directory)).rejects.toMatchObject({
      code: 'datastore',
      message: `cannot use the store in ${directory}: every user may write it`,
      hint: `remove that permission: chmod o-w ${directory}`,
    });
  });

  it('a store folder is refused in one line when it cannot be made', async () => {
    const directory = await folder();
    await writeFile(directory, 'a file');
    await expect(open(directory)).rejects.toMatchObject({
      code: 'datastore',
      message: `cannot use the store in ${directory}: cannot make the folder ${directory}/sessions: not a directory (ENOTDIR)`,
    });
    await expect(open('/proc/twill/d')).rejects.toMatchObject({
      code: 'datastore',
      message: expect.stringMatching(
        /^cannot use the store in \/proc\/twill\/d: cannot make the folder \/proc\/twill: /,
      ),
    });
  });

  for (const [what, text] of [
    ['nothing', ''],
    ['half a document', '{"format":1,"revision":7,'],
    ['another document', '{"format":2}'],
    [
      'the document of another revision',
      '{"format":1,"revision":6,"compactedRevision":0,"entries":[],"history":[],"commits":[]}',
    ],
    ['a list', '[]'],
  ] as const) {
    it(`a store folder is refused in one line when its latest revision holds ${what}`, async () => {
      const directory = await folder();
      const kv = await open(directory);
      const path = join(directory, 'rev-000000000007.json');
      await writeFile(path, text);
      for (const attempt of [() => open(directory), () => kv.list('/')]) {
        const error: unknown = await attempt().catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({
          code: 'datastore',
          message: expect.stringContaining(path),
          hint: expect.stringContaining(directory),
        });
        expect((error as Error).message).not.toContain('\n');
      }
    });
  }

  it('a store folder of an earlier version, without the revisions at which keys were created, is read', async () => {
    const directory = await folder();
    await open(directory);
    const entry = { key: '/a', value: 'x', revision: 5 };
    const document = { format: 1, revision: 7, compactedRevision: 7, entries: [entry], history: [] };
    await writeFile(join(directory, 'rev-000000000007.json'), JSON.stringify({ ...document, commits: [] }));
    const kv = await open(directory);
    const found = await kv.get('/a');
    expect(found).toEqual({ ...entry, created: 5, session: undefined });
    if (found !== undefined) expect(await kv.update(found, 'y')).toMatchObject({ revision: 8, created: 5 });
  });

  it('operations and watches fail as `datastore` when the store folder is removed', async () => {
    const directory = await folder();
    const kv = await open(directory);
    const watched = await watch(kv, '/', 1);
    await rm(directory, { recursive: true });
    await expect(kv.create('/a', 'x', undefined)).rejects.toMatchObject({ code: 'datastore' });
    await waitFor('the watch fails', 5_000, () => watched.outcome() !== undefined);
    expect(watched.outcome()).toMatchObject({ code: 'datastore' });
  });

  it.each([1, -1])('no session ends early or late when the wall clock jumps by %s day', async (days) => {
    const directory = await folder();
    let jumpedMs = 0;
    const clock = { ...systemClock, wallMs: () => systemClock.wallMs() + jumpedMs };
    const kv = await openFileKv({ directory, clock, random: systemRandom });
    onTestFinished(() => kv[Symbol.asyncDispose]());
    const session = await kv.openSession(2);
    await kv.create('/a', 'x', session);
    jumpedMs = days * 86_400_000;
    expect((await kv.get('/a'))?.value).toBe('x');
    expect(await kv.keepAlive(session)).toBe(2);
    expect((await kv.get('/a'))?.value).toBe('x');
    await systemClock.sleep(2_200);
    expect(await kv.get('/a')).toBeUndefined();
    expect(await kv.keepAlive(session)).toBeUndefined();
  });

  it('a session is kept alive by a second process, and ends when no process does', async () => {
    const directory = await folder();
    const first = await open(directory);
    const session = await first.openSession(1);
    await first.create('/a', 'x', session);
    const second = await open(directory);
    expect(await second.keepAlive(session)).toBe(1);
    const watched = await watch(second, '/', 2);
    await watched.sees('/a', undefined);
    expect(await first.get('/a')).toBeUndefined();
    expect(await first.keepAlive(session)).toBeUndefined();
    expect(await readdir(join(directory, 'sessions'))).toEqual([]);
  });
});
