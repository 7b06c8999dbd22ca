// A rule of another program, as far as it decides whether a packet passes. Both iptables and nft have parsers into this
// form (`iptables-rule.ts`, `nft-rule.ts`).
import type { AddressRange } from './flow.ts';

export interface ForeignRule {
  /** The rule in the words of its program, without its chain. */
  readonly text: string;
  /** In order: a part counts for packets that pass all tests before it. */
  readonly parts: readonly RulePart[];
}

export type RulePart = RuleTest | MarkChange | Untracking | RuleVerdict;

/** Compares a packet with values, of which one must fit. An undefined value may be anything. */
export type RuleTest = { readonly kind: 'test'; readonly isNegated: boolean } & Comparison;

export type Comparison =
  | { readonly of: 'source' | 'destination'; readonly values: readonly (AddressRange | undefined)[] }
  /** Names of links; a star at the end stands for any rest. */
  | { readonly of: 'linkIn' | 'linkOut'; readonly values: readonly (string | undefined)[] }
  /** States and translations of the connection: `new`, `dnat`. */
  | { readonly of: 'state'; readonly values: readonly (string | undefined)[] }
  /** The bits of the packet's mark under the mask. */
  | { readonly of: 'mark'; readonly mask: number; readonly values: readonly (number | undefined)[] }
  /** A test with the same result for all packets of a flow. */
  | { readonly of: 'constant'; readonly values: readonly (boolean | undefined)[] };

/** Sets the bits of the packet's mark under the mask. */
export interface MarkChange {
  readonly kind: 'mark';
  readonly mask: number;
  /** Undefined: they may be anything. */
  readonly value: number | undefined;
}

/** The kernel looks for no connection of the packet: a test of its state says so, whatever the packet is. */
export interface Untracking {
  readonly kind: 'untrack';
}

export type RuleVerdict = { readonly kind: 'verdict' } & (
  | {
      readonly verdict:
        | 'accept'
        | 'drop'
        | 'return'
        /** Gives the packet another source address. */
        | 'rewrite'
        /** Gives the packet the source address that it has: no other chain rewrites it. */
        | 'keep'
        /** Nothing more of the rule counts. */
        | 'none'
        /** One of the others, or none. */
        | 'unknown';
    }
  | { readonly verdict: 'jump' | 'goto'; readonly target: string }
  /** The verdict of the entry whose test fits. */
  | { readonly verdict: 'map'; readonly entries: readonly MapEntry[] }
);

export interface MapEntry {
  readonly test: RuleTest;
  readonly verdict: RuleVerdict;
}

/** A test of which nothing is known. */
export const PERHAPS: RuleTest = { kind: 'test', of: 'constant', isNegated: false, values: [undefined] };
/** A test that no packet of ours passes. */
export const NEVER: RuleTest = { kind: 'test', of: 'constant', isNegated: false, values: [false] };

export const UNKNOWN: RuleVerdict = { kind: 'verdict', verdict: 'unknown' };
