// `twill network get|set`: reads and writes the network configuration that all nodes share. It is checked before it is
// written, because a mistake in it stops every node.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { systemClock } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import { createLogger } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import type { KvLeaseStore } from '../datastore/kv-lease-store.ts';
import { requireConfig } from '../model/config-source.ts';
import type { KvOptions } from '../model/datastore-options.ts';
import { NETWORK_CONFIG_BYTES } from '../model/limits.ts';
import { parseNetworkConfig, tooLong } from '../model/network-config.ts';
import { echo } from '../options/flag-values.ts';
import type { AgentOptions } from '../options.ts';
import type { CommandContext } from './context.ts';

const USAGE =
  'write `twill network get`, or `twill network set` and the JSON in single quotes, @FILE, or - for standard input';

/** Runs `get` or `set`, the first operand. */
export async function networkCommand(
  operands: readonly string[],
  options: AgentOptions,
  context: CommandContext,
): Promise<void> {
  const [verb, ...rest] = operands;
  if (verb === 'get') {
    if (rest.length > 0) throw misuse(`network get takes no arguments, but got ${rest.length}`);
    await getConfig(options, context);
  } else if (verb === 'set') {
    const [source] = rest;
    if (source === undefined) throw misuse('network set needs the configuration');
    if (rest.length > 1) throw misuse(`network set takes one argument, but got ${rest.length}`);
    await setConfig(source, options, context);
  } else {
    throw misuse(
      verb === undefined ? 'network needs get or set' : `network takes get or set, not ${echo(verb)}`,
    );
  }
}

async function getConfig(options: AgentOptions, context: CommandContext): Promise<void> {
  const { datastore } = options;
  if (datastore.kind === 'kubernetes') {
    const { readNetConf } = await import('../kubernetes/net-conf.ts');
    await printText((await readNetConf(datastore.netConfigPath)).text, context);
    return;
  }
  await using store = await openStore(datastore, options);
  await printText(requireConfig(await store.config.read(context.signal), store.config), context);
}

function printText(text: string, context: CommandContext): Promise<void> {
  return context.print(text.endsWith('\n') ? text : `${text}\n`);
}

async function setConfig(source: string, options: AgentOptions, context: CommandContext): Promise<void> {
  const { datastore } = options;
  if (datastore.kind === 'kubernetes') {
    throw new TwillError(
      'usage',
      `--kube-subnet-mgr: the network configuration is the file ${datastore.netConfigPath}, which is not ours`,
      { hint: 'edit the ConfigMap that fills it, and restart the agents' },
    );
  }
  const { text, where } = await readSource(source, context);
  const config = parseNetworkConfig(text, where);
  const { parseOptions } = await import('../../backends/index.ts');
  await parseOptions(config.backend, where);
  await using store = await openStore(datastore, options);
  await store.config.write(text, context.signal);
  await context.print(`wrote ${store.config.where}\n`);
}

async function openStore(datastore: KvOptions, options: Pick<AgentOptions, 'log'>): Promise<KvLeaseStore> {
  const { openLeaseStore } = await import('../datastore/open-store.ts');
  const log = createLogger(
    'network',
    options.log.level === 'debug' ? options.log : { ...options.log, level: 'warn' },
  );
  return openLeaseStore(datastore, { clock: systemClock, random: systemRandom, log });
}

async function readSource(
  source: string,
  context: CommandContext,
): Promise<{ readonly text: string; readonly where: string }> {
  if (source === '-') {
    const where = 'standard input';
    return { text: await readText(context.openInput(), where), where };
  }
  if (!source.startsWith('@')) return { text: source.trim(), where: 'network configuration' };
  const where = source.slice(1);
  await requireRegularFile(where);
  return { text: await readText(createReadStream(where, { signal: context.signal }), where), where };
}

// Reading from a pipe or a terminal blocks a thread that cannot be interrupted, and so delays the end of the process.
async function requireRegularFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw asTwillError(error, 'host', `cannot read ${path}`);
  });
  if (!found.isFile()) {
    throw new TwillError('host', `cannot read ${path}: not a regular file`, {
      hint: 'write - to read the configuration from standard input',
    });
  }
}

// Reads in chunks, so that an input that is too long or endless is not read to its end.
async function readText(stream: AsyncIterable<Buffer>, where: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes > NETWORK_CONFIG_BYTES) throw tooLong(where);
      chunks.push(chunk);
    }
  } catch (error) {
    throw asTwillError(error, 'host', `cannot read ${where}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)).trim();
  } catch (error) {
    throw new TwillError('config', `${where}: not valid UTF-8`, { cause: error });
  }
}

function misuse(message: string): TwillError {
  return new TwillError('usage', message, { hint: USAGE });
}
