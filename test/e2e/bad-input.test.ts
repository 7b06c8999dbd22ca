// Bad input. Each case ends with one line on stderr, a hint, the exit code of its kind and no stack, and leaves nothing
// behind. The tests run the built program.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { type ExecResult, exec } from '../../agent/base/exec.ts';
import { createLogger } from '../../agent/base/log.ts';
import { systemRandom } from '../../agent/base/random.ts';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import { openLeaseStore } from '../../agent/datastore/open-store.ts';
import { parseNetworkConfig, subnetAt, subnetCount } from '../../agent/model/network-config.ts';
import { makeAuthority } from '../lab/certificates.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { TWILL } from '../lab/paths.ts';
import { leaseAttrs } from '../support/build.ts';
import { allOf, NEEDS_ROOT, needsProgram, title } from '../support/needs.ts';
import { CONFIG_ROWS, EXIT, FLAG_ROWS, HOST_ROWS } from './bad-input-rows.ts';

const NEEDS_LAB = allOf(NEEDS_ROOT, needsProgram('nft'), needsProgram('setpriv'));
const NEEDS_ETCD = allOf(NEEDS_ROOT, needsProgram('etcd'), needsProgram('openssl'));
const RUN_MS = 20_000;
const LOG_LINE = /^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info |warn |error) /;

/** The outcome of a program as an operator sees it. */
function complaint({ exitCode, stdout, stderr }: ExecResult) {
  const lines = stderr.split('\n').filter((line) => line !== '');
  const said = lines.filter((line) => !LOG_LINE.test(line));
  return {
    exitCode,
    stdout,
    message: said[0]?.replace(/^twill: /, '') ?? '',
    // Only the hint may follow the line, and the log must not repeat it.
    hint: said[1]?.replace(/^hint: /, '') ?? '',
    more: said.slice(1).filter((line, index) => index > 0 || !line.startsWith('hint: ')),
    loggedErrors: lines.filter((line) => LOG_LINE.exec(line)?.[1] === 'error'),
  };
}

function refusal(exitCode: number, message: string | RegExp, hint = /^/) {
  const text = typeof message === 'string' ? message : expect.stringMatching(message);
  return {
    exitCode,
    stdout: '',
    message: text,
    hint: expect.stringMatching(hint),
    more: [],
    loggedErrors: [],
  };
}

function after(where: string, message: string | RegExp): string | RegExp {
  if (typeof message === 'string') return `${where}: ${message}`;
  return new RegExp(`^${where.replaceAll('/', '\\/')}: ${message.source.replace(/^\^/, '')}`);
}

function titled<T extends { readonly title: string }>(rows: readonly T[]) {
  return rows.map((row) => [row.title, row] as const);
}

async function openStore(directory: string): Promise<KvLeaseStore> {
  const options = { kind: 'file', directory, prefix: '/coreos.com/network' } as const;
  const log = createLogger('test', { level: 'error', format: 'text' });
  return openLeaseStore(options, { clock: systemClock, random: systemRandom, log });
}

async function twill(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return exec('env', [...words, ...TWILL, ...args], { timeoutMs: RUN_MS });
}

describe('bad input on the command line', () => {
  it.each(titled(FLAG_ROWS))('%s', async (_, { args, environment, message }) => {
    expect(complaint(await twill(args, environment))).toEqual(refusal(EXIT.usage, message));
  });
});

describe('network set refuses before it writes', () => {
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tw-bad-input-'));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it.each(titled(CONFIG_ROWS))('%s', async (_, { config, message }) => {
    const store = `--store=file:${join(directory, 'store')}`;
    const set = await twill(['network', 'set', store, config]);
    expect(complaint(set)).toEqual(refusal(EXIT.config, after('network configuration', message)));
    const get = await twill(['network', 'get', store]);
    expect(complaint(get)).toEqual(refusal(EXIT.config, /^no network configuration at /));
  });

  it('network set refuses a missing file', async () => {
    const set = await twill([
      'network',
      'set',
      `@${directory}/missing.json`,
      `--store=file:${directory}/store`,
    ]);
    expect(complaint(set)).toEqual(refusal(EXIT.host, /^cannot read .*\/missing\.json: ENOENT/));
  });

  it('network set refuses a directory', async () => {
    const set = await twill(['network', 'set', `@${directory}`, `--store=file:${directory}/store`]);
    expect(complaint(set)).toEqual(refusal(EXIT.host, /^cannot read .*: not a regular file$/));
  });

  it('network set refuses a file that is too long', async () => {
    await writeFile(join(directory, 'long.json'), `{"Network":"10.5.0.0/16"}${' '.repeat(70_000)}`);
    const set = await twill(['network', 'set', `@${directory}/long.json`, `--store=file:${directory}/store`]);
    expect(complaint(set)).toEqual(refusal(EXIT.config, /long\.json: longer than 65536 bytes$/));
  });
});

describe.skipIf(NEEDS_LAB.missing)(
  title('an agent that cannot work ends and leaves nothing', NEEDS_LAB),
  () => {
    const STORE = '/run/store';
    const GOOD = '{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}}';
    let lab: Lab;
    let store: KvLeaseStore;

    beforeAll(async () => {
      lab = await openLab({ hosts: 1 });
      store = await openStore(lab.host(1).path(STORE));
    });
    afterAll(async () => {
      await store?.[Symbol.asyncDispose]();
      await lab?.close();
    });

    // Everything that an agent could leave: links, addresses, routes, rules, files, leases.
    async function traces(): Promise<string> {
      const { namespace } = lab.host(1);
      const looks = [
        ['ip', '-o', 'link'],
        ['ip', '-o', '-4', 'addr'],
        ['ip', '-4', 'route', 'show', 'table', 'all'],
        ['nft', 'list', 'ruleset'],
        ['find', '/run/flannel'],
      ];
      const texts = await Promise.all(looks.map((argv) => namespace.run(argv)));
      const stop = new AbortController();
      for await (const event of store.watch(stop.signal)) {
        if (event.type === 'snapshot') texts.push(JSON.stringify(event.leases));
        if (event.type === 'snapshot' || event.type === 'disconnected') break;
      }
      stop.abort();
      return texts.join('\n');
    }

    async function runAgent(config: string, flags: readonly string[], starter: readonly string[] = []) {
      await store.config.write(config);
      const before = await traces();
      const argv = [...starter, ...TWILL, 'run', `--store=file:${STORE}`, ...flags];
      const result = await lab.host(1).namespace.exec(argv, { timeoutMs: RUN_MS });
      expect(await traces()).toBe(before);
      return result;
    }

    it.each(titled(CONFIG_ROWS))('the agent refuses a configuration: %s', async (_, { config, message }) => {
      expect(complaint(await runAgent(config, []))).toEqual(
        refusal(EXIT.config, after(store.config.where, message)),
      );
    });

    it.each(titled(HOST_ROWS))(
      'the agent refuses a host: %s',
      async (_, { flags, starter, exitCode, message, hint }) => {
        expect(complaint(await runAgent(GOOD, flags, starter))).toEqual(refusal(exitCode, message, hint));
      },
    );

    it('the agent refuses a health port in use', async () => {
      const listen =
        "require('node:net').createServer().listen(2390, '127.0.0.1', () => console.log('listens'))";
      const blocker = lab.host(1).start('blocker', [process.execPath, '-e', listen]);
      try {
        await blocker.waitForLine(/listens/, 5_000);
        expect(complaint(await runAgent(GOOD, ['--healthz-ip=127.0.0.1', '--healthz-port=2390']))).toEqual(
          refusal(EXIT.host, /127\.0\.0\.1:2390/),
        );
      } finally {
        await blocker.stop('SIGKILL');
      }
    });

    it('the agent refuses a network without a free subnet', async () => {
      const text = '{"Network":"10.9.0.0/28","SubnetLen":30,"Backend":{"Type":"host-gw"}}';
      const config = parseNetworkConfig(text, 'test');
      for (let index = 0; index < subnetCount(config); index++) {
        const node = { id: `${index}`.repeat(16), mac: undefined, name: `other-${index}` };
        const attrs = leaseAttrs(`192.168.77.${100 + index}`, { node });
        await store.claim({ ipv4: subnetAt(config, index) }, attrs);
      }
      const said = complaint(await runAgent(text, []));
      expect(said).toEqual(refusal(EXIT.exhausted, /3/));
      expect(said.message).toContain('other-');
    });
  },
);

describe.skipIf(NEEDS_ETCD.missing)(title('an etcd that cannot be used is reported', NEEDS_ETCD), () => {
  let lab: Lab;
  const path = (name: string): string => join(lab.folder, name);

  beforeAll(async () => {
    lab = await openLab({ hosts: 1 });
    await makeAuthority(lab.folder, 'ours');
    await makeAuthority(lab.folder, 'other');
    await startEtcd().waitForLine(/ready to serve client requests|serving client|serving.*securely/, 10_000);
  });
  afterAll(async () => {
    await lab?.close();
  });

  function startEtcd() {
    const url = 'https://127.0.0.1:2379';
    return lab
      .host(1)
      .start('etcd', [
        'etcd',
        '--data-dir',
        path('etcd'),
        '--listen-peer-urls=http://127.0.0.1:2380',
        `--listen-client-urls=${url}`,
        `--advertise-client-urls=${url}`,
        `--cert-file=${path('ours-server.pem')}`,
        `--key-file=${path('ours-server.key')}`,
      ]);
  }

  const get = async (flags: readonly string[]) =>
    lab.host(1).namespace.exec([...TWILL, 'network', 'get', ...flags], { timeoutMs: RUN_MS });

  it('a usable etcd is not reported', async () => {
    const flags = ['--etcd-endpoints=https://127.0.0.1:2379', `--etcd-cafile=${path('ours-ca.pem')}`];
    expect(complaint(await get(flags))).toEqual(refusal(EXIT.config, /^no network configuration at /));
  });

  it('an etcd is reported at an address where nothing listens', async () => {
    expect(complaint(await get(['--etcd-endpoints=http://127.0.0.1:9']))).toEqual(
      refusal(EXIT.datastore, /127\.0\.0\.1:9\b.*(?:refused|ECONNREFUSED)/),
    );
  });

  it('an etcd is reported when another authority signed its certificate', async () => {
    const flags = ['--etcd-endpoints=https://127.0.0.1:2379', `--etcd-cafile=${path('other-ca.pem')}`];
    expect(complaint(await get(flags))).toEqual(refusal(EXIT.datastore, /certificate/));
  });

  it('an etcd is reported when it requires TLS and the client uses none', async () => {
    expect(complaint(await get(['--etcd-endpoints=http://127.0.0.1:2379']))).toEqual(
      refusal(EXIT.datastore, /127\.0\.0\.1:2379/),
    );
  });

  it.each(['cafile', 'certfile', 'keyfile'])(
    'an etcd is reported when the file of --etcd-%s is missing',
    async (name) => {
      const files = { cafile: 'ours-ca.pem', certfile: 'ours-server.pem', keyfile: 'ours-server.key' };
      const flags = Object.entries({ ...files, [name]: 'missing.pem' }).map(
        ([flag, file]) => `--etcd-${flag}=${path(file)}`,
      );
      expect(complaint(await get(['--etcd-endpoints=https://127.0.0.1:2379', ...flags]))).toEqual(
        refusal(EXIT.datastore, /missing\.pem/),
      );
    },
  );

  it('the agent waits for its etcd, goes on when it starts, and ends on a signal', async () => {
    const url = 'http://127.0.0.1:2391';
    const agent = lab.host(1).startAgent([`--etcd-endpoints=${url}`]);
    try {
      await agent.waitForLine(/ (?:warn |error) .*127\.0\.0\.1:2391/);
      lab
        .host(1)
        .start('late-etcd', [
          'etcd',
          '--data-dir',
          path('late-etcd'),
          '--listen-peer-urls=http://127.0.0.1:2392',
          `--listen-client-urls=${url}`,
          `--advertise-client-urls=${url}`,
        ]);
      await agent.waitForLine(/\/coreos\.com\/network\/config/, 15_000);
      expect(agent.process.isRunning).toBe(true);
    } finally {
      const { code, tookMs } = await agent.stop();
      expect({ code, slow: tookMs > 1_000 }).toEqual({ code: 0, slow: false });
    }
    expect((await agent.log()).split('\n').filter((line) => line !== '' && !LOG_LINE.test(line))).toEqual([]);
  });
});
