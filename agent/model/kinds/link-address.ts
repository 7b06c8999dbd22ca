// An address of one of our own links.
import type { EntryKind } from './kind.ts';

export interface LinkAddress {
  readonly kind: 'addr';
  /** With its length: `10.5.1.0/32`. */
  readonly prefix: string;
  readonly dev: string;
}

export const addressKind: EntryKind<LinkAddress> = {
  key: ({ prefix, dev }) => `addr ${prefix} ${dev}`,
  format: ({ prefix, dev }) => `addr ${prefix} dev ${dev}`,
};
