// A permanent neighbour entry of one of our own links: the host with `address` has the MAC `mac`.
import type { EntryKind } from './kind.ts';

export interface Neighbour {
  readonly kind: 'neigh';
  readonly address: string;
  readonly mac: string;
  readonly dev: string;
}

export const neighbourKind: EntryKind<Neighbour> = {
  key: ({ address, dev }) => `neigh ${address} ${dev}`,
  format: ({ address, mac, dev }) => `neigh ${address} lladdr ${mac} dev ${dev}`,
};
