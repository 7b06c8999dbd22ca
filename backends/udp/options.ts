// Options of the udp backend, with flannel's names and defaults.
import { type JsonValue, parseWith, withKnownNames } from '../../agent/base/schema.ts';
import * as v from '../../agent/base/valibot.ts';

export interface UdpOptions {
  /** UDP port of every node. Default 8285. */
  readonly port: number;
}

const DEFAULT_PORT = 8285;

const allowed = 'must be a whole number from 0 to 65535';
const schema = v.object({
  // 0 means the default. In flannel it is a port by chance, which no peer finds.
  Port: v.optional(
    v.pipe(v.number(allowed), v.integer(allowed), v.minValue(0, allowed), v.maxValue(65_535, allowed)),
    0,
  ),
});

/** Checks the options; unknown ones are ignored, as flannel does. Fails as `config`. */
export function parseUdpOptions(options: Readonly<Record<string, JsonValue>>, where: string): UdpOptions {
  const { Port } = parseWith(schema, withKnownNames(options, Object.keys(schema.entries)), where);
  return { port: Port || DEFAULT_PORT };
}
