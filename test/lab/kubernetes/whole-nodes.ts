// A cluster of whole nodes in a lab: a control plane in the router, and Kubernetes on each host.
import { join } from 'node:path';
import { AgentImage, readImageBase } from '../engines/agent-image.ts';
import { readCniPlugins } from '../engines/cni-plugins.ts';
import { readDocker } from '../engines/dockers.ts';
import { type Lab, openLab } from '../lab.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { writePodImage } from './node-images.ts';
import { wholeNodesFailure } from './programs.ts';
import { WholeNode } from './whole-node.ts';

export interface WholeNodesOptions {
  readonly nodes: number;
  /** Further images: the agent's with more programs in it. Default: none. */
  readonly images?: readonly { readonly name: string; readonly programs: readonly string[] }[];
  /** Default: see `openLab`. */
  readonly tag?: string;
}

export interface WholeNodes extends AsyncDisposable {
  readonly lab: Lab;
  readonly plane: ControlPlane;
  readonly nodes: readonly WholeNode[];
}

/** Why no whole nodes can run, on one line; undefined: they can. */
export async function readWholeNodesFailure(): Promise<string | undefined> {
  const parts = [await readDocker('bookworm'), await readCniPlugins(), await readImageBase()];
  return (await wholeNodesFailure()) ?? parts.find(({ missing }) => missing !== undefined)?.missing;
}

/** Starts everything but an agent. The nodes have joined and are not ready: they have no network for pods. */
export async function openWholeNodes({
  nodes: count,
  tag,
  images = [],
}: WholeNodesOptions): Promise<WholeNodes> {
  const engine = await readDocker('bookworm');
  const plugins = await readCniPlugins();
  const lab = await openLab({ hosts: count, ...(tag === undefined ? {} : { tag }) });
  try {
    const [plane, podArchive, archives] = await Promise.all([
      startControlPlane(lab),
      writePodImage(lab.folder),
      buildImages(lab.folder, images),
    ]);
    const nodes = lab.hosts.map((host) => new WholeNode(host, plane, engine));
    await Promise.all(
      nodes.map(async (node) => {
        await node.prepare(plugins.folder);
        await node.startRuntime([podArchive, ...archives]);
        await node.start();
        const condition = ['--for=create', '--timeout=30s'];
        await plane.kubectl('wait', 'node', node.name, ...condition);
      }),
    );
    return { lab, plane, nodes, [Symbol.asyncDispose]: () => lab.close() };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** Builds the agent's image of this checkout, and those that are made of it. */
async function buildImages(
  folder: string,
  more: NonNullable<WholeNodesOptions['images']>,
): Promise<readonly string[]> {
  const image = await AgentImage.open(join(folder, 'engine'), await readImageBase());
  await image.build();
  for (const { name, programs } of more) await image.extend(name, programs);
  const archives: string[] = [];
  for (const [index, name] of [image.name, ...more.map((each) => each.name)].entries()) {
    const archive = join(folder, `image-${index}.tar`);
    await image.save(archive, name);
    archives.push(archive);
  }
  return archives;
}
