// `twill status`: asks the agent of this host how it is. Without an agent it shows the last status that one left.
import { systemClock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import { readFileStart } from '../base/read-file.ts';
import type { Line } from '../base/terminal.ts';
import { type PeerPage, type PeerReport, STATUS_SCHEMA, type StatusReport } from '../model/status-report.ts';
import { LIMITS as OBSERVE_LIMITS } from '../observe/limits.ts';
import { askAgent } from '../observe/status-client.ts';
import { statusFile } from '../observe/status-file.ts';
import type { CommandContext } from './context.ts';
import { LIMITS } from './limits.ts';
import { parseStatusOptions, type StatusOptions } from './status-options.ts';
import { ageOf, formatPeer, formatStatus, type StatusView } from './status-text.ts';

/** An answer in both forms. */
interface Shown {
  readonly json: unknown;
  readonly lines: readonly Line[];
  /** The failure that the command ends with after it has shown the rest; undefined: none. */
  readonly failure: TwillError | undefined;
}

/** Prints the status. Fails as `unready` where this node is not ready, and as `absent` where no agent runs. */
export async function statusCommand(args: readonly string[], context: CommandContext): Promise<void> {
  const options = parseStatusOptions(args, context.environment);
  for (;;) {
    const view = { columns: context.terminal?.columns };
    const shown = await look(options, view, context.signal);
    await show(shown, options, context);
    if (!options.isWatch) {
      if (shown.failure !== undefined) throw shown.failure;
      return;
    }
    if (context.terminal === undefined && !options.isJson) await context.print('\n');
    await systemClock.sleep(LIMITS.watchMs, context.signal);
  }
}

async function show(
  { json, lines, failure }: Shown,
  options: StatusOptions,
  context: CommandContext,
): Promise<void> {
  if (options.isJson) return json === undefined ? undefined : context.print(`${JSON.stringify(json)}\n`);
  const { terminal, environment } = context;
  // Nobody sees the failure of one look otherwise.
  const news =
    options.isWatch && failure !== undefined ? [{ text: failure.message, tone: 'bad' as const }] : [];
  const all: readonly Line[] = [...lines, ...news];
  if (terminal === undefined) return context.print(all.map(({ text }) => `${text}\n`).join(''));
  await terminal.draw(all, { clears: options.isWatch, colours: (environment['NO_COLOR'] ?? '') === '' });
}

function look(options: StatusOptions, view: StatusView, signal: AbortSignal): Promise<Shown> {
  return options.peer === undefined ? lookAtNode(options, view, signal) : lookAtPeer(options, signal);
}

async function lookAtNode(options: StatusOptions, view: StatusView, signal: AbortSignal): Promise<Shown> {
  const { socket, isAll } = options;
  const short = (await ask(socket, '/v1/status', signal)) as StatusReport | undefined;
  if (short === undefined) return lookAtFile(options, view);
  const list = isAll ? await allPeers(socket, signal) : short.peers.list;
  const report = { ...short, peers: { ...short.peers, list } };
  const lines = guarded(`the answer at ${socket}`, () => formatStatus(report, view));
  return { json: report, lines, failure: failureOf(report, options) };
}

function failureOf({ node, peers }: StatusReport, { checksPeers }: StatusOptions): TwillError | undefined {
  if (!node.ready)
    return new TwillError(
      'unready',
      `this node is not ready: ${node.conditions[0]?.reason ?? 'no reason is known'}`,
    );
  const faulty = peers.leftOut + peers.refused;
  if (!checksPeers || faulty === 0) return undefined;
  return new TwillError('unready', `${faulty} of ${peers.total} peers are not reached`);
}

async function lookAtPeer(
  { socket, peer = '', checksPeers }: StatusOptions,
  signal: AbortSignal,
): Promise<Shown> {
  const page = (await ask(socket, `/v1/peers/${encodeURIComponent(peer)}`, signal)) as PeerPage | undefined;
  if (page === undefined) return { json: undefined, lines: [], failure: noAgent(socket) };
  const faulty = page.peers.filter(({ state }) => state === 'leftOut' || state === 'refused');
  const isBad = checksPeers && faulty.length > 0;
  return {
    json: page,
    lines: guarded(`the answer at ${socket}`, () => page.peers.flatMap(formatPeer)),
    failure: isBad ? new TwillError('unready', `the peer is not reached: ${faulty[0]?.reason}`) : undefined,
  };
}

async function allPeers(socket: string, signal: AbortSignal): Promise<readonly PeerReport[]> {
  const peers: PeerReport[] = [];
  for (let after = ''; ; ) {
    const query = after === '' ? '' : `?after=${encodeURIComponent(after)}`;
    const page = (await ask(socket, `/v1/peers${query}`, signal)) as PeerPage | undefined;
    peers.push(...(page?.peers ?? []));
    const next = page?.next ?? '';
    if (next === '' || next === after) return peers;
    after = next;
  }
}

/** The agent's answer; undefined: there is no agent. */
async function ask(socket: string, question: string, signal: AbortSignal): Promise<unknown> {
  const answer = await askAgent(socket, question, signal);
  if (answer === undefined) return undefined;
  const value = parse(answer.body);
  if (answer.status === 404 && typeof value['error'] === 'string')
    throw new TwillError('usage', `status --peer: ${value['error']}`);
  if (answer.status !== 200 || value['schema'] !== STATUS_SCHEMA)
    throw new TwillError('host', `the program at ${socket} gives no ${STATUS_SCHEMA}`);
  return value;
}

async function lookAtFile({ socket, subnetFile }: StatusOptions, view: StatusView): Promise<Shown> {
  const path = statusFile(subnetFile);
  const failure = noAgent(socket);
  const start = await readFileStart(path, {
    maxBytes: OBSERVE_LIMITS.statusFileBytes,
    followLink: false,
  }).catch(() => undefined);
  const value = start === undefined || start.isPart ? {} : parse(start.bytes.toString());
  if (value['schema'] !== STATUS_SCHEMA) return { json: undefined, lines: [], failure };
  const report = value as unknown as StatusReport;
  const lines = guarded(path, () => [
    {
      text: `no agent runs; its last status, ${ageOf(new Date(systemClock.wallMs()).toISOString(), report.at)} old:`,
      tone: 'bad' as const,
    },
    ...formatStatus(report, view),
  ]);
  return { json: report, lines, failure };
}

function noAgent(socket: string): TwillError {
  return new TwillError('absent', `no agent answers at ${socket}`, {
    hint: 'start it, or give the --subnet-file or --status-socket of its command line',
  });
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

// Another program may have written it.
function guarded<T>(where: string, format: () => T): T {
  try {
    return format();
  } catch (cause) {
    throw new TwillError('host', `${where} holds no ${STATUS_SCHEMA}`, { cause });
  }
}
