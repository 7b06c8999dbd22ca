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
  const { node, lease, store, backend, kernel, firewall, peers } = report;
  const { underlay } = backend;
  const [repair] = kernel.repairs;
  const ends =
    lease.expiresAt === null
      ? lease.kind === null
        ? 'not held'
        : LASTING[lease.kind]
      : `ends in ${ageOf(lease.expiresAt, report.at)}`;
  const lines: Line[] = [
    {
      text: `${known(node.name)}  ${node.ready ? 'ready' : 'not ready'}${node.since === null ? '' : ` for ${age(node.since)}`}  twill ${node.version}, up ${age(node.startedAt)}`,
      tone: node.ready ? 'good' : 'bad',
    },
    ...node.conditions.map(
      ({ part, state, reason, since }): Line => ({
        text: `${state === 'failing' ? '✗' : '!'} ${part}: ${reason}${since === null ? '' : ` (${age(since)})`}`,
        tone: state === 'failing' ? 'bad' : 'warn',
      }),
    ),
    { text: `lease    ${known(lease.subnet)} of ${known(lease.network)}, ${ends}` },
    {
      text: `store    ${store.kind}, ${store.connected ? 'connected' : 'not connected'}, ${store.lastHeardAt === null ? 'no news yet' : `news ${age(store.lastHeardAt)} ago`}`,
      ...(store.connected ? {} : { tone: 'bad' as const }),
    },
    {
      text: `backend  ${known(backend.type)}${backend.device === null ? '' : ` ${backend.device}`} mtu ${known(backend.mtuBytes)} over ${known(underlay.interface)} ${known(underlay.address)}${underlay.publicAddress === underlay.address ? '' : ` announced as ${known(underlay.publicAddress)}`} mtu ${known(underlay.mtuBytes)}`,
    },
    {
      text: `kernel   ${kernel.objects} objects, ${kernel.repaired} repaired${repair === undefined ? '' : `, last ${age(repair.at)} ago: ${repair.change}`}`,
    },
    {
      text: `rules    ${firewall.mode === null ? 'none' : `${firewall.mode}, ${firewall.stands === true ? 'in place' : 'not in place'}`}`,
      ...(firewall.stands === false ? { tone: 'bad' as const } : {}),
    },
    ...firewall.obstacles.map((text): Line => ({ text: `✗ ${text}`, tone: 'bad' })),
    { text: `peers    ${countText(peers)}` },
    ...formatPeers(peers.list, age, view),
  ];
  const rest = peers.total - peers.list.length;
  if (rest > 0) lines.push({ text: `  ${rest} more; --all lists them`, tone: 'weak' });
  return lines.map((line) => ({ ...line, text: cut(printable(line.text), view) }));
}

const LASTING = { leased: 'renewed by itself', reserved: 'reserved: it never ends', assigned: 'assigned' };

/** One peer, a line for each fact. */
export function formatPeer(peer: PeerReport, view: StatusView): readonly Line[] {
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
  return facts.map(([fact, text]) => ({ text: cut(`${fact.padEnd(9)}${printable(text)}`, view) }));
}

function countText({ total, ...counts }: StatusReport['peers']): string {
  const parts = (Object.keys(STATES) as (keyof typeof STATES)[]).flatMap((state) =>
    counts[state] === 0 && state !== 'planned' ? [] : `${counts[state]} ${STATES[state]}`,
  );
  return `${total}: ${parts.join(', ')}`;
}

type Age = (time: string | null) => string;

/** A table: under 80 columns without address and age, from 120 on with the backend. Reasons end the lines. */
function formatPeers(list: readonly PeerReport[], age: Age, { columns = 80 }: StatusView): readonly Line[] {
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
    ...list.map((peer, place): Line => {
      const text = `${SIGNS[peer.state]} ${aligned(rows[place] ?? [])}  ${peer.reason ?? ''}`.trimEnd();
      const tone = TONES[peer.state];
      return tone === undefined ? { text } : { text, tone };
    }),
  ];
}

const SIGNS = { planned: ' ', leftOut: '✗', refused: '✗', otherBackend: '·' } as const;
const TONES = { planned: undefined, leftOut: 'bad', refused: 'bad', otherBackend: 'weak' } as const;

function shortened(name: string): string {
  return name.length <= NAMED_COLUMNS ? name : `${name.slice(0, NAMED_COLUMNS - 1)}…`;
}

function cut(text: string, { columns }: StatusView): string {
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
