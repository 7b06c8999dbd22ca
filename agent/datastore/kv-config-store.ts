// The network configuration under flannel's key of a key-value store.
import { TwillError } from '../base/errors.ts';
import type { ConfigStore } from '../model/config-source.ts';
import type { Kv } from '../model/kv.ts';
import { tooLong } from '../model/network-config.ts';
import { LIMITS } from './limits.ts';

/** The configuration at the key `where`. `hint`: the command that writes it. */
export function createKvConfigStore(kv: Kv, where: string, hint: string): ConfigStore {
  return {
    where,
    hint,
    async read(signal) {
      const entry = await kv.get(where, signal);
      if (entry !== undefined && entry.value === undefined) throw tooLong(where);
      return entry?.value;
    },
    async write(text, signal) {
      for (let attempt = 0; attempt < LIMITS.configAttempts; attempt++) {
        const entry = await kv.get(where, signal);
        const written =
          entry === undefined
            ? await kv.create(where, text, undefined, signal)
            : await kv.update(entry, text, signal);
        if (written !== undefined) return;
      }
      throw new TwillError('datastore', `cannot write ${where}: others write it all the time`);
    },
  };
}
