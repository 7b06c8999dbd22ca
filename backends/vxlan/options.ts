// Options of the vxlan backend, with flannel's names and defaults.
import { type JsonValue, parseWith, withKnownNames } from '../../agent/base/schema.ts';
import * as v from '../../agent/base/valibot.ts';

export interface VxlanOptions {
  /** VXLAN network identifier, 0 to 16777215. Default 1; a written 0 is 0, as in flannel. */
  readonly vni: number;
  /** UDP port. Default 8472, Linux's own. */
  readonly port: number;
  /** Group based policy extension. Default false. */
  readonly gbp: boolean;
  /** The device learns addresses from received packets. Default false. */
  readonly learning: boolean;
  /** Peers on the same link get a plain route instead of encapsulation. Default false. */
  readonly directRouting: boolean;
  /** MTU of the outer packets, in bytes. Default and most: the underlay link's. */
  readonly underlayMtuBytes: number | undefined;
}

const DEFAULT_PORT = 8472;

const boolean = v.optional(v.boolean('must be true or false'), false);
const integer = (min: number, max: number, also?: number) => {
  const allowed = `must be a whole number from ${min} to ${max}`;
  const isAllowed = (value: number): boolean => value === also || (value >= min && value <= max);
  return v.pipe(v.number(allowed), v.integer(allowed), v.check(isAllowed, allowed));
};

const schema = v.object({
  VNI: v.optional(integer(0, 0xff_ffff), 1),
  // 0 means the default, as in flannel.
  Port: v.optional(integer(0, 65_535), 0),
  GBP: boolean,
  Learning: boolean,
  DirectRouting: boolean,
  // 0 means the default. A container needs the 576 bytes that every IPv4 host must take, plus our 50.
  MTU: v.optional(integer(626, 65_535, 0), 0),
});

/** Checks the options; unknown ones are ignored, as flannel does. Fails as `config`. */
export function parseVxlanOptions(options: Readonly<Record<string, JsonValue>>, where: string): VxlanOptions {
  const named = withKnownNames(options, Object.keys(schema.entries));
  const { VNI, Port, GBP, Learning, DirectRouting, MTU } = parseWith(schema, named, where);
  return {
    vni: VNI,
    port: Port || DEFAULT_PORT,
    gbp: GBP,
    learning: Learning,
    directRouting: DirectRouting,
    underlayMtuBytes: MTU || undefined,
  };
}
