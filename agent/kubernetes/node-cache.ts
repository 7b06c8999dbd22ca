// The Nodes as they were seen last, in a file that outlives a reboot: with it a node forwards before the API answers.
// It is old knowledge. The first list of the API takes its place, and nothing is deleted because of it.
//
// It decides where packets go, so only a file of our own user alone is believed, of this Node and this network
// configuration, where each value is as strict as in the API's Nodes. There is none where its folder is missing.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.ts';
import type { Bell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { notBelieved, OWN_FILE_MODE, readOwnFile } from '../base/own-file.ts';
import { parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import { ANNOTATIONS } from './annotation-names.ts';
import { LIMITS } from './limits.ts';
import type { NodeObject } from './node-object.ts';

const VERSION = 1;

export interface CachedNodes {
  /** Of the newest list or change that was seen, as a number. */
  readonly version: number;
  readonly own: NodeObject;
  readonly peers: readonly NodeObject[];
}

export interface NodeCacheOptions {
  readonly path: string;
  readonly nodeName: string;
  /** The start of the names of annotations, and the text of the network configuration. */
  readonly settings: readonly [prefix: string, config: string];
}

export interface NodeCache {
  /** Undefined: there is no file. Fails as `host` where it is not to be believed. */
  read(): Promise<CachedNodes | undefined>;
  /** Replaces the file, where its folder exists. Fails as `host`. */
  write(nodes: CachedNodes): Promise<void>;
}

export function nodeCache({ path, nodeName, settings }: NodeCacheOptions): NodeCache {
  const digest = createHash('sha256').update(JSON.stringify(settings)).digest('hex');
  return {
    async read() {
      const text = await readOwnFile(path, LIMITS.cacheBytes);
      if (text === undefined) return undefined;
      const file = parseJson(fileSchema, text, path, 'host');
      if (file.digest !== digest) throw notBelieved(path, 'it is of another network configuration');
      if (file.own.name !== nodeName) throw notBelieved(path, 'it is of another Node');
      const { version, own, peers } = file;
      return { version, own, peers: peers.filter(({ name }) => name !== nodeName) };
    },
    async write({ version, own, peers }) {
      const folder = await stat(dirname(path)).catch(() => undefined);
      if (folder === undefined) return;
      const file = { format: VERSION, digest, version, own, peers };
      await writeFileAtomic(path, JSON.stringify(file, keptOf), OWN_FILE_MODE);
    },
  };
}

// Both change with each heartbeat, and nobody needs them.
function keptOf(name: string, value: unknown): unknown {
  return name === 'resourceVersion' || name === 'networkUnavailable' ? undefined : value;
}

const text = v.pipe(v.string('must be a string'), v.maxLength(LIMITS.annotationChars));
const node = v.pipe(
  v.object({
    name: text,
    uid: text,
    createdMs: v.number(),
    podCidrs: v.pipe(v.array(text), v.maxLength(LIMITS.podCidrs)),
    annotations: v.record(v.picklist(ANNOTATIONS), text),
  }),
  v.transform((found): NodeObject => ({ ...found, resourceVersion: '0', networkUnavailable: undefined })),
);
const fileSchema = v.object({
  format: v.literal(VERSION),
  digest: v.string(),
  version: v.number(),
  own: node,
  peers: v.array(node),
});

export interface KeepNodesDeps {
  readonly cache: Pick<NodeCache, 'write'>;
  /** Rung when a Node has changed. */
  readonly changed: Bell;
  /** Undefined: not known yet. */
  readonly nodes: () => CachedNodes | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Keeps the file until `signal` is aborted. A file that cannot be written is logged. */
export async function keepNodes(
  { cache, changed, nodes, clock, log }: KeepNodesDeps,
  signal: AbortSignal,
): Promise<void> {
  let failure: string | undefined;
  try {
    for (;;) {
      await changed.wait(signal);
      // Changes come together.
      await clock.sleep(LIMITS.cacheDelayMs, signal);
      const known = nodes();
      if (known !== undefined) failure = await write(known);
      await clock.sleep(LIMITS.cachePauseMs, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }

  async function write(known: CachedNodes): Promise<string | undefined> {
    try {
      await cache.write(known);
      return undefined;
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== failure) log.warn(`cannot keep the Nodes for the next boot: ${reason}`);
      return reason;
    }
  }
}
