// A permanent forwarding entry of one of our own links: frames to `mac` go to the host `dst`.
import type { EntryKind } from './kind.ts';

export interface FdbEntry {
  readonly kind: 'fdb';
  readonly mac: string;
  readonly dst: string;
  readonly dev: string;
}

export const fdbKind: EntryKind<FdbEntry> = {
  key: ({ mac, dev }) => `fdb ${mac} ${dev}`,
  format: ({ mac, dst, dev }) => `fdb ${mac} dst ${dst} dev ${dev}`,
};
