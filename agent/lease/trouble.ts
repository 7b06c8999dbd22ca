// What keeps us from claiming or renewing our lease at the moment.
import { asTwillError, withHint } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Condition } from '../model/condition.ts';

/** The last failure of a request for our lease, until one succeeds. */
export interface Trouble {
  /** Notes a failure; logs it unless the one before had the same remedy. `what` was tried. */
  fail(what: string, error: unknown): void;
  clear(): void;
  /** The condition with the reason of the failure. */
  explain(condition: Condition): Condition;
}

export function createTrouble(log: Logger): Trouble {
  let reason: string | undefined;
  let kind: string | undefined;
  return {
    fail(what, thrown) {
      const error = asTwillError(thrown, 'datastore', 'datastore');
      const kindNow = `${what}: ${error.hint ?? error.message}`;
      reason = withHint(error);
      if (kindNow !== kind) log.warn(`${what}: ${reason}`);
      kind = kindNow;
    },
    clear() {
      reason = undefined;
      kind = undefined;
    },
    explain: (condition) =>
      reason === undefined ? condition : { ...condition, reason: `${condition.reason}: ${reason}` },
  };
}
