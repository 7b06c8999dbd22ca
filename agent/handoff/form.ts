// A form of the hand-off: one file that tells one kind of program this node's network. One writer and one remover serve
// all forms.
import { rm } from 'node:fs/promises';
import { writeFileAtomic } from '../base/atomic-file.ts';
import { asTwillError, errnoOf, TwillError } from '../base/errors.ts';
import { readFileStart } from '../base/read-file.ts';
import { parseJson } from '../base/schema.ts';
import type * as v from '../base/valibot.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import { type Prefix, samePrefix } from '../model/ip.ts';
import { LIMITS } from './limits.ts';

export interface Form {
  readonly path: string;
  readonly mode: number;
  /** The text for these values. `old` is the file's present text; undefined: there is none. Pure, but for the time. */
  format(env: SubnetEnv, old: string | undefined): string;
  /**
   * Whether the agent may have written this text. Only such a file, or an empty one, is replaced and removed. Default:
   * it may have written any text, since the path is its own.
   */
  readonly isOurs?: (text: string) => boolean;
  /** Whether the text is another program's, which ours may replace. It is never removed. Default: none is. */
  readonly replaces?: (text: string) => boolean;
  /**
   * The subnet in which an engine starts containers because this text of ours is there; undefined: the text names none.
   * Default: no engine waits for the file.
   */
  readonly subnetOf?: (text: string) => Prefix | undefined;
  /** A line for each thing of this host that keeps the program from taking these values. */
  readonly readWarnings?: (env: SubnetEnv) => Promise<readonly string[]>;
}

/**
 * Writes the file of a form unless it has that content and mode. True: it was written. Fails as `host`, and then keeps
 * the old file.
 */
export async function writeForm(form: Form, env: SubnetEnv): Promise<boolean> {
  const { path, mode } = form;
  const old = await readForm(form, 'write');
  if (old !== undefined && !old.isOurs && form.replaces?.(old.text) !== true) {
    throw new TwillError(
      'host',
      `cannot write ${path}: another program or user wrote that file; move it away`,
    );
  }
  const text = form.format(env, old?.text);
  if (old?.text === text && old.mode === mode) return false;
  await writeFileAtomic(path, text, mode);
  return true;
}

/** Removes the file of a form. `kept`: it is somebody else's. Fails as `host`. */
export async function removeForm(form: Form): Promise<'removed' | 'kept' | 'absent'> {
  const old = await readForm(form, 'remove');
  if (old === undefined) return 'absent';
  if (!old.isOurs) return 'kept';
  await remove(form.path);
  return 'removed';
}

/**
 * Removes the file of a form by which an engine starts containers, if it is ours, unless they get addresses of
 * `subnet`; undefined: in any case. True: it was removed. Fails as `host`.
 */
export async function retractForm(form: Form, subnet: Prefix | undefined): Promise<boolean> {
  if (form.subnetOf === undefined) return false;
  const old = await readForm(form, 'remove');
  if (old?.isOurs !== true) return false;
  const theirs = form.subnetOf(old.text);
  if (theirs !== undefined && subnet !== undefined && samePrefix(theirs, subnet)) return false;
  await remove(form.path);
  return true;
}

async function remove(path: string): Promise<void> {
  try {
    await rm(path);
  } catch (error) {
    throw asTwillError(error, 'host', `cannot remove ${path}`);
  }
}

interface OldFile {
  readonly text: string;
  readonly mode: number;
  readonly isOurs: boolean;
}

async function readForm({ path, isOurs }: Form, verb: string): Promise<OldFile | undefined> {
  try {
    const { bytes, isPart, stats } = await readFileStart(path, { maxBytes: LIMITS.formBytes });
    const text = bytes.toString();
    return {
      text,
      mode: stats.mode & 0o7777,
      isOurs: isOurs === undefined || (!isPart && (text.trim() === '' || isOurs(text))),
    };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    // The path is ours: replacing or removing it tells whether that is possible.
    if (isOurs === undefined) return { text: '', mode: 0, isOurs: true };
    throw asTwillError(error, 'host', `cannot ${verb} ${path}`);
  }
}

/** The JSON of a file of ours; undefined: the text is none, or is not as `schema` says. */
export function parseOwn<T>(schema: v.GenericSchema<unknown, T>, text: string): T | undefined {
  try {
    return parseJson(schema, text, 'file');
  } catch {
    return undefined;
  }
}
