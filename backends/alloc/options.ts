// alloc has no options.
import { type JsonValue, parseWith } from '../../agent/base/schema.ts';
import * as v from '../../agent/base/valibot.ts';

export type AllocOptions = Readonly<Record<string, never>>;

const schema = v.object({});

/** Checks the options; unknown ones are ignored, as flannel does. Fails as `config`. */
export function parseAllocOptions(options: Readonly<Record<string, JsonValue>>, where: string): AllocOptions {
  return parseWith(schema, options, where);
}
