// Prepares the pods of a node for kube-flannel's list. flannel's plugin deletes a pod by a file that it kept when it
// made the pod, and without that file it releases no address. Pods of our list have none, so each gets one.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, writeFileAtomic } from '../base/atomic-file.ts';
import { asTwillError, errnoOf, TwillError } from '../base/errors.ts';
import { readFileStart, readWholeFile } from '../base/read-file.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import { parseAddress } from '../model/ip.ts';
import { formatPodBridge, POD_NETWORK } from './cni-pods.ts';
import { LIMITS } from './limits.ts';
import { parseSubnetEnv } from './subnet-env.ts';

/** CNI's rule for the id of a container, which becomes the name of a file. */
const ID = /^[a-zA-Z0-9][\w.-]{0,254}$/;
const FOLDER_MODE = 0o700;
const MODE = 0o600;

/** The folder of CNI's plugins. */
export const CNI_STATE = '/var/lib/cni';

export interface HandBack {
  /** The files that were written, each with the address of its pod. */
  readonly written: readonly { readonly file: string; readonly address: string }[];
  /** Pods that had theirs. */
  readonly kept: number;
  /** Reserved addresses that belong to no container by their file. They stay reserved. */
  readonly unclear: readonly string[];
}

/**
 * Writes the file of each pod that has none. `subnetFile` tells the node's subnet, `state` is the folder of CNI's
 * plugins. Fails as `host`.
 */
export async function handBack(subnetFile: string, state = CNI_STATE): Promise<HandBack> {
  const text = formatPodBridge(await readSubnet(subnetFile));
  const written: { file: string; address: string }[] = [];
  const unclear: string[] = [];
  let kept = 0;
  const folder = join(state, 'flannel');
  for (const { id, address } of await readReservations(state)) {
    if (!ID.test(id)) {
      unclear.push(address);
      continue;
    }
    const file = join(folder, id);
    if (await exists(file)) {
      kept += 1;
      continue;
    }
    await makeOwnFolder(folder);
    await writeFileAtomic(file, text, MODE);
    written.push({ file, address });
  }
  return { written, kept, unclear };
}

async function readSubnet(path: string): Promise<SubnetEnv> {
  const text = await readWholeFile(path, { maxBytes: LIMITS.formBytes }).catch((error: unknown) => {
    throw asTwillError(error, 'host', `cannot read ${path}`, 'the agent writes it when it has a subnet');
  });
  const { network, subnet, mtuBytes, ipMasq } = parseSubnetEnv(text.toString());
  if (network === undefined || subnet === undefined || mtuBytes === undefined || ipMasq === undefined)
    throw new TwillError('host', `${path} lacks the network, the subnet, the MTU or FLANNEL_IPMASQ`);
  return { network, subnet, mtuBytes, ipMasq };
}

interface Reservation {
  readonly id: string;
  readonly address: string;
}

/** Those of the plugin host-local: a file for each address, whose first line is the id of the container. */
async function readReservations(state: string): Promise<readonly Reservation[]> {
  const folder = join(state, 'networks', POD_NETWORK);
  const names = await readdir(folder).catch(async (error: unknown) => {
    // A node without pods has none. A container without the folder of its host would have none either.
    if (errnoOf(error) === 'ENOENT' && (await exists(state))) return [];
    throw asTwillError(error, 'host', `cannot read ${folder}`, `the host's ${state} must be there`);
  });
  const found: Reservation[] = [];
  for (const address of names.filter((name) => parseAddress(name) !== undefined)) {
    const file = join(folder, address);
    const start = await readFileStart(file, { maxBytes: LIMITS.reservationBytes }).catch((error: unknown) => {
      // The pod is being deleted.
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw asTwillError(error, 'host', `cannot read ${file}`);
    });
    const [id = ''] = start?.bytes.toString().split(/\r?\n/, 1) ?? [];
    if (start !== undefined) found.push({ id: id.trim(), address });
  }
  return found;
}

async function makeOwnFolder(folder: string): Promise<void> {
  await makeFolder(folder, FOLDER_MODE).catch((error: unknown) => {
    throw asTwillError(error, 'host', `cannot make the folder ${folder}`);
  });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
