// The input of the last run's data plane, in a file beside subnet.env. It decides where packets go, so only a file is
// believed that nobody else can have written, of this boot, and of a run that ended a short while ago. Each value is
// checked as in a lease.
import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic } from '../base/atomic-file.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import { notBelieved, OWN_FILE_MODE, readOwnFile } from '../base/own-file.ts';
import { type JsonValue, parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import type { DataPlaneRecord } from '../model/data-plane-memory.ts';
import {
  containsPrefix,
  FAMILIES,
  formatPrefix,
  networkOf,
  type Prefix,
  parseAddress,
  parsePrefix,
  samePrefix,
} from '../model/ip.ts';
import { intrusionOf, misfitOf } from '../model/trust.ts';
import { LIMITS } from './limits.ts';

const VERSION = 1;
const BOOT_ID_FILE = '/proc/sys/kernel/random/boot_id';

export interface DataPlaneFile {
  readonly path: string;
  /** The record; undefined where there is no file. Fails as `host` where the file is not to be believed. */
  read(): Promise<DataPlaneRecord | undefined>;
  /** Replaces the file; undefined removes it. Fails as `host`. */
  write(record: DataPlaneRecord | undefined): Promise<void>;
}

/** The file that belongs to the subnet file at `subnetFile`. Its age is measured by the boot clock. */
export function dataPlaneFile(subnetFile: string, clock: Pick<Clock, 'bootMs'>): DataPlaneFile {
  const path = `${subnetFile}.data-plane`;
  return {
    path,
    async read() {
      const text = await readOwnFile(path, LIMITS.dataPlaneFileBytes);
      if (text === undefined) return undefined;
      const { bootId, bootMs, backend, planes } = parseJson(fileSchema, text, path, 'host');
      if (bootId !== (await readBootId())) throw notBelieved(path, 'it is of another boot');
      const ageMs = clock.bootMs() - bootMs;
      if (ageMs < 0 || ageMs > LIMITS.dataPlaneAgeMs)
        throw notBelieved(path, `it is ${Math.round(ageMs)} ms old`);
      return { backend, input: { planes } };
    },
    async write(record) {
      if (record === undefined) return remove(path);
      const file = {
        version: VERSION,
        bootId: await readBootId(),
        bootMs: clock.bootMs(),
        ...textsOf(record),
      };
      await writeFileAtomic(path, JSON.stringify(file), OWN_FILE_MODE);
    },
  };
}

function textsOf({ backend, input }: DataPlaneRecord): object {
  const planes = input.planes.map(({ plane: { family, network, subnet, end }, peers }) => ({
    plane: {
      family,
      network: formatPrefix(network),
      subnet: formatPrefix(subnet),
      end: { address: end.address, publicIP: end.publicIP },
    },
    peers: peers.map(({ subnet: theirs, publicIP, data }) => ({
      subnet: formatPrefix(theirs),
      publicIP,
      data,
    })),
  }));
  return { backend, planes };
}

const json = v.custom<JsonValue>((value) => value !== undefined);
const prefix = v.pipe(
  v.string('must be a string'),
  v.transform((text) => parsePrefix(text)),
  v.custom<Prefix>((value) => {
    const parsed = value as Prefix | undefined;
    return parsed !== undefined && samePrefix(networkOf(parsed), parsed);
  }, 'must be a prefix without host bits'),
);
const address = v.pipe(
  v.string('must be a string'),
  v.check((text) => parseAddress(text)?.address === text, 'must be an address'),
);
const peer = v.object({ subnet: prefix, publicIP: address, data: v.optional(json) });
const plane = v.object({
  family: v.picklist(FAMILIES),
  network: prefix,
  subnet: prefix,
  end: v.object({ address, publicIP: address }),
});
const planeInput = v.pipe(
  v.object({ plane, peers: v.array(peer) }),
  v.check(({ plane: { family, network, subnet, end }, peers }) => {
    const addresses = [end.address, end.publicIP, ...peers.map(({ publicIP }) => publicIP)];
    return (
      containsPrefix(network, subnet) && addresses.every((text) => parseAddress(text)?.family === family)
    );
  }, 'must be of one family, with our subnet inside the network'),
  v.check(
    ({ plane: { network, ...rest }, peers }) =>
      peers.every(
        (each) =>
          each.publicIP !== rest.end.publicIP &&
          misfitOf({ network, subnetLength: undefined }, each) === undefined &&
          intrusionOf({ network, ...rest }, each) === undefined,
      ),
    'must have peers inside the network, apart from this node',
  ),
  v.transform((input) => ({
    plane: input.plane,
    peers: input.peers.map(({ subnet, publicIP, data }) => ({ subnet, publicIP, data })),
  })),
);
const fileSchema = v.object({
  version: v.literal(VERSION),
  bootId: v.string(),
  bootMs: v.number(),
  backend: v.object({ type: v.string(), options: v.record(v.string(), json) }),
  planes: v.pipe(v.array(planeInput), v.minLength(1)),
});

async function readBootId(): Promise<string> {
  try {
    return (await readFile(BOOT_ID_FILE, 'utf8')).trim();
  } catch (error) {
    throw asTwillError(error, 'host', `cannot read ${BOOT_ID_FILE}`);
  }
}

async function remove(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw asTwillError(error, 'host', `cannot remove ${path}`);
  }
}
