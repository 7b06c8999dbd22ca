// A bounded queue between callbacks (of sockets and watchers) and a reader. A reader that falls too far behind fails
// instead of filling the memory.
import { TwillError } from './errors.ts';

/** A queue with one reader, which uses `for await`. */
export interface Channel<T> extends AsyncIterable<T> {
  push(item: T): void;
  /** Ends the reader after the items pushed so far. */
  close(): void;
  /** Ends the reader with an error, after the items pushed so far. */
  fail(error: Error): void;
}

/** A channel that holds at most `limit` unread items. One more ends it with an error that names `what`. */
export function createChannel<T>(what: string, limit: number): Channel<T> {
  const items: T[] = [];
  let end: { readonly error?: Error } | undefined;
  let wake: (() => void) | undefined;
  const notify = (): void => {
    wake?.();
    wake = undefined;
  };
  const finish = (how: { readonly error?: Error }): void => {
    end ??= how;
    notify();
  };
  return {
    push(item) {
      if (end !== undefined) return;
      if (items.length >= limit) {
        finish({ error: new TwillError('internal', `${what}: reader is more than ${limit} items behind`) });
        return;
      }
      items.push(item);
      notify();
    },
    close: () => finish({}),
    fail: (error) => finish({ error }),
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          const item = items.shift();
          if (item !== undefined) {
            yield item;
          } else if (end !== undefined) {
            if (end.error !== undefined) throw end.error;
            return;
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        end ??= {};
        items.length = 0;
      }
    },
  };
}
