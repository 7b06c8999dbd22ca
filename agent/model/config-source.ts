// The contract of the place that keeps the network configuration.
import { TwillError } from '../base/errors.ts';

/** Operations fail as `datastore`. */
export interface ConfigSource {
  /** The place of the configuration, for messages. */
  readonly where: string;
  /** The command that writes it, for messages. */
  readonly hint: string;
  /** Its text; undefined: there is none. */
  read(signal?: AbortSignal): Promise<string | undefined>;
}

/** A configuration that Twill may write. */
export interface ConfigStore extends ConfigSource {
  /** Replaces the configuration. */
  write(text: string, signal?: AbortSignal): Promise<void>;
}

/** The text of a configuration that was read from `source`. Fails as `config` where there is none. */
export function requireConfig(
  text: string | undefined,
  { where, hint }: Pick<ConfigSource, 'where' | 'hint'>,
): string {
  if (text === undefined) throw new TwillError('config', `no network configuration at ${where}`, { hint });
  return text;
}
