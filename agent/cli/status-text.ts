// The text of `twill status`. Pure. Columns are counted in characters, after foreign names were made printable.
import { printable } from '../base/printable.ts';
import type { Line } from '../base/terminal.ts';
import type { PeerReport, StatusReport } from '../model/status-report.ts';

export interface StatusView {
  /** Width of the terminal; undefined: there is none, so that no line is cut. */
  readonly columns: number | undefined;
}

const NAMED_COLUMNS = 24;
const STATES = {
  planned: 'planned',
  leftOut: 'left out',
  refused: 'refused',
  otherBackend: 'other backend',
} as const;

/** The report in lines. Ages are those at the moment of the report. */
export function formatStatus(report: StatusReport, view: StatusView): readonly Line[] {
  const age = (time: string | null): string => ageOf(report.at, time);
  const { node, peers } = report;
  const rest = peers.total - peers.list.length;
  const lines: readonly Line[] = [
    header(report, age),
    ...node.conditions.map(
      ({ part, state, reason, since }): Line => ({
        text: `${state === 'failing' ? '✗' : '!'} ${part}: ${reason}${since === null ? '' : ` (${age(since)})`}`,
        tone: state === 'failing' ? 'bad' : 'warn',
      }),
    ),
    ...formatFacts(report, age).map((line) => ({ ...line, text: cut(line.text, view) })),
    ...formatPeers(peers.list, age, view),
    ...(rest > 0 ? [{ text: `  ${rest} more; --all lists them`, tone: 'weak' } as const] : []),
  ];
  // Reasons are not cut: their ends say what to do.
  return lines.map((line) => ({ ...line, text: printable(line.text) }));
}

function header({ node }: StatusReport, age: Age): Line {
  const { name, ready, since, version, startedAt } = node;
  const state = `${ready ? 'ready' : 'not ready'}${since === null ? '' : ` for ${age(since)}`}`;
  const text = `${known(name)}  ${state}  twill ${version}, up ${age(startedAt)}`;
  return { text, tone: ready ? 'good' : 'bad' };
}

/** Everything but the conditions and the list of peers, a line for each part. */
function formatFacts({ at, lease, store, backend, kernel, firewall, peers }: StatusReport, age: Age): Line[] {
  const { underlay } = backend;
  const [repair] = kernel.repairs;
  const ends =
    lease.expiresAt === null ? LASTING[lease.kind ?? 'none'] : `ends in ${ageOf(lease.expiresAt, at)}`;
  const news = store.lastHeardAt === null ? 'no news yet' : `news ${age(store.lastHeardAt)} ago`;
  const device = backend.device === null ? '' : ` ${backend.device}`;
  const announced =
    underlay.publicAddress === underlay.address ? '' : ` announced as ${known(underlay.publicAddress)}`;
  const way = `${known(underlay.interface)} ${known(underlay.address)}${announced} mtu ${known(underlay.mtuBytes)}`;
  const last = repair === undefined ? '' : `, last ${age(repair.at)} ago: ${repair.change}`;
  const rules =
    firewall.mode === null ? 'none' : `${firewall.mode}, ${firewall.stands === true ? '' : 'not '}in place`;
  return [
    { text: `lease    ${known(lease.subnet)} of ${known(lease.network)}, ${ends}` },
    toned(`store    ${store.kind}, ${store.connected ? '' : 'not '}connected, ${news}`, store.connected),
    { text: `backend  ${known(backend.type)}${device} mtu ${known(backend.mtuBytes)} over ${way}` },
    { text: `kernel   ${kernel.objects} objects, ${kernel.repaired} repaired${last}` },
    toned(`rules    ${rules}`, firewall.stands !== false),
    { text: `peers    ${countText(peers)}` },
  ];
}

function toned(text: string, isGood: boolean): Line {
  return isGood ? { text } : { text, tone: 'bad' };
}

const LASTING = {
  leased: 'renewed by itself',
  reserved: 'reserved: it never ends',
  assigned: 'assigned',
  none: 'not held',
};

/** One peer, a line for each fact. */
export function formatPeer(peer: PeerReport): readonly Line[] {
  const { name, subnet, address, backend, state, reason, since } = peer;
  const facts: readonly (readonly [string, string])[] = [
    ['peer', known(name)],
    ['subnet', subnet],
    ['address', address],
    ['backend', backend],
    ['state', STATES[state]],
    ['reason', known(reason)],
    ['since', known(since)],
  ];
  return facts.map(([fact, text]) => ({ text: printable(`${fact.padEnd(9)}${text}`) }));
}

function countText({ total, ...counts }: StatusReport['peers']): string {
  const parts = (Object.keys(STATES) as (keyof typeof STATES)[]).flatMap((state) =>
    counts[state] === 0 && state !== 'planned' ? [] : `${counts[state]} ${STATES[state]}`,
  );
  return `${total}: ${parts.join(', ')}`;
}

type Age = (time: string | null) => string;

/** A table: under 80 columns without address and age, from 120 on with the backend. */
function formatPeers(list: readonly PeerReport[], age: Age, { columns: limit }: StatusView): readonly Line[] {
  const columns = limit ?? 80;
  if (list.length === 0) return [];
  const cells = (peer: PeerReport): readonly string[] => [
    shortened(peer.name ?? '-'),
    peer.subnet,
    ...(columns < 80 ? [] : [peer.address]),
    ...(columns < 120 ? [] : [peer.backend]),
    STATES[peer.state],
    ...(columns < 80 ? [] : [peer.since === null ? '-' : age(peer.since)]),
  ];
  const heading = [
    'PEER',
    'SUBNET',
    ...(columns < 80 ? [] : ['ADDRESS']),
    ...(columns < 120 ? [] : ['BACKEND']),
    'STATE',
    ...(columns < 80 ? [] : ['SINCE']),
  ];
  const rows = list.map((peer) => cells(peer).map(printable));
  const widths = heading.map((word, place) =>
    Math.max(word.length, ...rows.map((row) => row[place]?.length ?? 0)),
  );
  const aligned = (row: readonly string[]): string =>
    row.map((cell, place) => cell.padEnd(widths[place] ?? 0)).join('  ');
  return [
    { text: `  ${aligned(heading)}`.trimEnd(), tone: 'weak' },
    ...list.flatMap((peer, place): Line[] => {
      const row = `${SIGNS[peer.state]} ${aligned(rows[place] ?? [])}`;
      const tone = TONES[peer.state];
      const reason = printable(peer.reason ?? '');
      const isShort = limit === undefined || row.length + 2 + reason.length <= limit;
      if (isShort) return [{ text: `${row}  ${reason}`.trimEnd(), tone }];
      return [
        { text: row.trimEnd(), tone },
        { text: `    ${reason}`, tone },
      ];
    }),
  ];
}

const SIGNS = { planned: ' ', leftOut: '✗', refused: '✗', otherBackend: '·' } as const;
const TONES = { planned: undefined, leftOut: 'bad', refused: 'bad', otherBackend: 'weak' } as const;

function shortened(name: string): string {
  return name.length <= NAMED_COLUMNS ? name : `${name.slice(0, NAMED_COLUMNS - 1)}…`;
}

function cut(foreign: string, { columns }: StatusView): string {
  const text = printable(foreign);
  return columns === undefined || text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;
}

function known(value: string | number | null): string {
  return value === null ? '-' : String(value);
}

/** The time from `earlier` to `later` for people: `4 s`, `23 h 12 min`. */
export function ageOf(later: string, earlier: string | null): string {
  if (earlier === null) return '-';
  const seconds = Math.max(0, Math.round((Date.parse(later) - Date.parse(earlier)) / 1000));
  const [minutes, hours, days] = [
    Math.floor(seconds / 60),
    Math.floor(seconds / 3600),
    Math.floor(seconds / 86_400),
  ];
  if (seconds < 60) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min`;
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}
