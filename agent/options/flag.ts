// One flag as data, and the makers of its kinds: each keeps the name as a type of its own.

/** Heading of a flag in the help. Flags of `ignored` are accepted and have no effect. */
export type FlagGroup =
  | 'datastore'
  | 'underlay'
  | 'firewall'
  | 'node'
  | 'hand-off'
  | 'kubernetes'
  | 'logging'
  | 'plan'
  | 'general'
  | 'ignored';

interface FlagBase {
  readonly name: string;
  readonly group: FlagGroup;
  /** For the help: its effect, without the default. */
  readonly meaning: string;
  /** For the help: a placeholder for its value. */
  readonly value?: string;
  /** False: the flag is never read from the environment. */
  readonly environment?: false;
}

/** A flag. If it is given several times, the last value counts, except for a list. */
export type Flag =
  | (FlagBase & { readonly kind: 'bool'; readonly default: boolean })
  | (FlagBase & {
      readonly kind: 'string';
      readonly default: string;
      /** A name or a password: never shown, and any text is a value. */
      readonly isSecret?: true;
    })
  | (FlagBase & {
      readonly kind: 'int';
      /** Only in base 10. */
      readonly isDecimal?: true;
      readonly default: number;
      readonly min: number;
      readonly max: number;
      /** A smaller or larger number counts as `min` or `max`. Otherwise it is refused. */
      readonly clamps?: 'below' | 'both';
    })
  /** All values count, in order. */
  | (FlagBase & { readonly kind: 'list' });

export function text<const N extends string>(
  name: N,
  group: FlagGroup,
  value: string,
  byDefault: string,
  meaning: string,
) {
  return { name, kind: 'string', group, value, default: byDefault, meaning } as const;
}

export function secret<const N extends string>(name: N, value: string, meaning: string) {
  return { ...text(name, 'datastore', value, '', meaning), isSecret: true } as const;
}

export function toggle<const N extends string>(
  name: N,
  group: FlagGroup,
  byDefault: boolean,
  meaning: string,
) {
  return { name, kind: 'bool', group, default: byDefault, meaning } as const;
}

export function number<const N extends string>(
  name: N,
  group: FlagGroup,
  value: string,
  range: Pick<Extract<Flag, { readonly kind: 'int' }>, 'default' | 'min' | 'max' | 'clamps'>,
  meaning: string,
) {
  return { name, kind: 'int', group, value, ...range, meaning } as const;
}

export function list<const N extends string>(name: N, group: FlagGroup, value: string, meaning: string) {
  return { name, kind: 'list', group, value, meaning } as const;
}

// A flag that prints a text instead of running the command. Never read from the environment: people use
// FLANNELD_VERSION for the tag of an image.
export function request<const N extends string>(name: N, meaning: string) {
  return { ...toggle(name, 'general', false, meaning), environment: false } as const;
}

// A flag of flannel's logging library. Unit files contain such flags; here they have no effect.
export function ignoredText<const N extends string>(name: N) {
  return { ...text(name, 'ignored', 'TEXT', '', 'has no effect'), environment: false } as const;
}

export function ignoredSwitch<const N extends string>(name: N) {
  return { ...toggle(name, 'ignored', false, 'has no effect'), environment: false } as const;
}
