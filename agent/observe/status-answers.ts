// The answers of the status socket. All but `/v1/diff` are made from memory.
import { deadline } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { PEER_STATES, type PeerPage, type PeerReport, STATUS_SCHEMA } from '../model/status-report.ts';
import type { HttpAnswer } from './http-server.ts';
import { LIMITS } from './limits.ts';
import { allPeers, bySubnet, type StatusInput, statusReport } from './status-report.ts';

export function answerStatus(input: StatusInput): HttpAnswer {
  return json(200, statusReport(input));
}

/** One page: `state` and `limit` choose, and `after` is the subnet that the page before ended with. */
export function answerPeers({ state, clock }: StatusInput, { searchParams: query }: URL): HttpAnswer {
  const [wanted, after] = [query.get('state'), query.get('after')];
  const limit = query.get('limit') ?? String(LIMITS.statusPagePeers);
  if (wanted !== null && !(PEER_STATES as readonly string[]).includes(wanted))
    return refuse(`state: must be one of ${PEER_STATES.join(', ')}`);
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > LIMITS.statusPagePeers)
    return refuse(`limit: must be a number from 1 to ${LIMITS.statusPagePeers}`);
  const left = allPeers(state, clock)
    .filter((peer) => wanted === null || peer.state === wanted)
    .filter(({ subnet }) => after === null || bySubnet(subnet, after) > 0);
  const peers = left.slice(0, Number(limit));
  const next = left.length > peers.length ? (peers.at(-1)?.subnet ?? null) : null;
  return json(200, { schema: STATUS_SCHEMA, peers, next } satisfies PeerPage);
}

/** The peers with a name, a subnet or an address: `/v1/peers/NAME`. */
export function answerPeer({ state, clock }: StatusInput, { pathname }: URL): HttpAnswer {
  const what = decode(pathname.slice(pathname.lastIndexOf('/') + 1));
  const is = ({ name, subnet, address }: PeerReport): boolean =>
    [name, subnet, subnet.split('/')[0], address].includes(what);
  const peers = allPeers(state, clock).filter(is).slice(0, LIMITS.statusPagePeers);
  if (peers.length === 0) return json(404, { error: 'no peer has this name, subnet or address' });
  return json(200, { schema: STATUS_SCHEMA, peers, next: null } satisfies PeerPage);
}

/** The changes that the reconciler would make now, a line each. */
export async function answerDiff(
  difference: (signal: AbortSignal) => Promise<readonly string[] | undefined>,
): Promise<HttpAnswer> {
  using limit = deadline(undefined, LIMITS.statusDiffMs, 'reading the kernel');
  const late = new Promise<never>((_, reject) => {
    limit.addEventListener('abort', () => reject(limit.reason));
  });
  try {
    const changes = await Promise.race([difference(limit), late]);
    if (changes === undefined) return json(503, { error: 'the agent has planned nothing yet' });
    return json(200, { schema: STATUS_SCHEMA, changes });
  } catch (error) {
    return json(503, { error: messageOf(error) });
  }
}

function refuse(error: string): HttpAnswer {
  return json(400, { error });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function json(status: number, value: unknown): HttpAnswer {
  return { status, body: `${JSON.stringify(value)}\n`, contentType: 'application/json' };
}
