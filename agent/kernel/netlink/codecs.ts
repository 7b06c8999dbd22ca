// All codecs, by kind.
import type { Entry, Link } from '../../model/host-state.ts';
import { addressCodec } from './addresses.ts';
import type { EntryCodec, LinkCodec } from './codec.ts';
import { fdbCodec, neighbourCodec } from './neighbors.ts';
import { routeCodec } from './routes.ts';
import { tunCodec } from './tun-link.ts';
import { vxlanCodec } from './vxlan-link.ts';

/** The codec of each type of link. */
export const LINK_CODECS: { readonly [T in Link['type']]: LinkCodec<Extract<Link, { type: T }>> } = {
  vxlan: vxlanCodec,
  tun: tunCodec,
};

/** The codec of each kind of entry. */
export const ENTRY_CODECS: { readonly [K in Entry['kind']]: EntryCodec<Extract<Entry, { kind: K }>> } = {
  route: routeCodec,
  addr: addressCodec,
  neigh: neighbourCodec,
  fdb: fdbCodec,
};
