// host-gw has no options.
import { type JsonValue, parseWith } from '../../agent/base/schema.ts';
import * as v from '../../agent/base/valibot.ts';

export type HostGwOptions = Readonly<Record<string, never>>;

const schema = v.object({});

/** Checks the options; unknown ones are ignored, as flannel does. Fails as `config`. */
export function parseHostGwOptions(
  options: Readonly<Record<string, JsonValue>>,
  where: string,
): HostGwOptions {
  return parseWith(schema, options, where);
}
