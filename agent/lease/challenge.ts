// Asks the holder of a lease that may be ours whether it is alive, and says the outcome in words.
import { isDeepStrictEqual } from 'node:util';
import type { Bell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/printable.ts';
import { formatSubnets, type Lease, type NodeIdentity } from '../model/lease.ts';
import type { KnownLeases, OwnAttrs } from '../model/lease-holder.ts';
import type { ChallengeAnswer, LeaseStore } from '../model/lease-store.ts';
import { CHALLENGE_WAIT_MS } from '../model/limits.ts';
import type { Question } from './choose.ts';
import { LIMITS } from './limits.ts';

const FOUND = {
  namesake: 'the lease at our address is of another machine or network card',
  moved: 'a lease at another address has our machine id and MAC',
  clone: 'our previous subnet is leased at another address with our machine id and another MAC',
} as const;

interface Deps {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Asker {
  readonly #deps: Deps;
  /** The last question, if it failed. `conflict`: the error of its answer, which counts for a time. */
  #failed: (Question & { readonly conflict?: TwillError; readonly atMs: number }) | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** The holder's answer. Fails as `conflict` when a live holder has our address, and as `datastore`. */
  async ask(question: Question, self: OwnAttrs, signal: AbortSignal): Promise<ChallengeAnswer> {
    const { store, clock, log } = this.#deps;
    const { lease, because } = question;
    const failed = this.#failed;
    const isRepeated = failed?.because === because && isSameLease(failed.lease, lease);
    const atMs = clock.monotonicMs();
    // Each question is two writes, of which all nodes hear.
    if (isRepeated && failed.conflict !== undefined && atMs < failed.atMs + LIMITS.conflictMs)
      throw failed.conflict;
    const fields = fieldsOf(lease);
    log[isRepeated ? 'debug' : 'info'](`${FOUND[because]}: asking whether its holder is alive`, fields);
    this.#failed = { ...question, atMs };
    const answer = await store.challenge(lease, self.node, CHALLENGE_WAIT_MS, signal);
    if (answer.kind === 'alive' && because === 'namesake') {
      const error = conflict(lease, self);
      this.#failed = { ...question, conflict: error, atMs: clock.monotonicMs() };
      throw error;
    }
    this.#failed = undefined;
    if (answer.kind === 'silent') log.info('nobody answered: the lease may be taken over', fields);
    if (answer.kind === 'elsewhere')
      log.info('its holder is alive at another address: the lease is not ours', fields);
    if (answer.kind === 'changed')
      log.info('the lease has changed meanwhile: it is not ours as it was', fields);
    if (answer.kind === 'alive') log.warn('another node has our machine id; its lease is not ours', fields);
    return answer;
  }
}

/** Waits until a lease that has changed is known to have, for a limited time. `bell`: rung at each event. */
export async function awaitNews(
  { known, clock }: { readonly known: KnownLeases; readonly clock: Clock },
  former: Lease,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  const endMs = clock.monotonicMs() + LIMITS.newsMs;
  while (clock.monotonicMs() < endMs && known.leases.some((lease) => isSameLease(lease, former))) {
    await bell.wait(signal, endMs - clock.monotonicMs());
  }
}

/** Whether a lease is as it was, with or without questions. */
function isSameLease(a: Lease, b: Lease): boolean {
  return a.key === b.key && a.session === b.session && isDeepStrictEqual(a.attrs, b.attrs);
}

function fieldsOf({ subnets, attrs: { publicIP, node } }: Lease) {
  return { subnet: formatSubnets(subnets), holder: node?.name, mac: node?.mac, public_ip: publicIP.ipv4 };
}

function conflict({ subnets, attrs }: Lease, { publicIP, node }: OwnAttrs): TwillError {
  const holder = `node ${describe(attrs.node)}`;
  const both = `its subnet is ${formatSubnets(subnets)}, and we are node ${describe(node)}`;
  return new TwillError(
    'conflict',
    `${holder} is alive and has our public address ${publicIP.ipv4}: ${both}`,
    {
      hint: 'give each host its own address: choose another interface with --iface, or set --public-ip',
    },
  );
}

function describe(node: NodeIdentity | undefined): string {
  return `${printable(node?.name ?? 'unknown')} (MAC ${node?.mac ?? 'unknown'})`;
}
