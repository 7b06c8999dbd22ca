// Options of the udp backend, with flannel's names and defaults.
import { type JsonValue, parseWith, withKnownNames } from '../../agent/base/schema.ts';
import * as v from '../../agent/base/valibot.ts';

export interface UdpOptions {
  /** UDP port of every node. Default 8285. */
  readonly port: number;
}

const allowed = 'must be a whole number from 1 to 65535';
const schema = v.object({
  Port: v.optional(
    v.pipe(v.number(allowed), v.integer(allowed), v.minValue(1, allowed), v.maxValue(65_535, allowed)),
    8285,
  ),
});

/** Checks the options; unknown ones are ignored, as flannel does. Fails as `config`. */
export function parseUdpOptions(options: Readonly<Record<string, JsonValue>>, where: string): UdpOptions {
  return { port: parseWith(schema, withKnownNames(options, Object.keys(schema.entries)), where).Port };
}
