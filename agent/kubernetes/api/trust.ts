// The CA that the server's certificate is checked with. It is read for each connection, because it is exchanged while
// we run. Files and servers do not change at the same moment: until a handshake with a new CA succeeds, the one before
// it is tried, too. An unreadable file, which may be half written, leaves the last good one in use.
import { readSource, type Source } from './access.ts';
import { isDistrust } from './api-error.ts';

export interface Trust {
  /** Runs a handshake with each CA that may be right, until one of them is. */
  attempt<T>(shake: (ca: string | undefined) => Promise<T>): Promise<T>;
}

export function createTrust(source: Source | undefined): Trust {
  /** The last CA with which a handshake succeeded. */
  let proven: string | undefined;

  async function candidates(): Promise<readonly (string | undefined)[]> {
    if (source === undefined) return [undefined];
    try {
      const ca = await readSource(source, 'the CA');
      return proven === undefined || proven === ca ? [ca] : [ca, proven];
    } catch (error) {
      if (proven === undefined) throw error;
      return [proven];
    }
  }

  return {
    async attempt(shake) {
      let failure: unknown;
      for (const ca of await candidates()) {
        try {
          const result = await shake(ca);
          proven = ca;
          return result;
        } catch (error) {
          // The CA of the file is the one that the operator wants to hear of.
          failure ??= error;
          if (!isDistrust(error)) throw error;
          if (ca === proven) proven = undefined;
        }
      }
      throw failure;
    },
  };
}
