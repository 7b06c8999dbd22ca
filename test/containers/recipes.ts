// The recipes of README's chapters about containers, and hosts that run them as they stand there.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host } from '../lab/host.ts';
import { PROJECT_ROOT, TWILL } from '../lab/paths.ts';

/** A block of commands. */
export interface Step {
  /** Numbers of the hosts that it runs on; undefined: on each. */
  readonly hosts: readonly number[] | undefined;
  /** Whether a user without rights runs it. */
  readonly isRootless: boolean;
  readonly script: string;
}

export interface Recipe {
  readonly title: string;
  readonly steps: readonly Step[];
}

/** Reads the chapter. */
export function readChapter(): Promise<string> {
  return readPage(/^## Containers\n(.*?)^## /ms);
}

/** Reads the recipe of the container image, which is in the chapter about the installation. */
export async function readImageRecipe(): Promise<Recipe> {
  const [recipe] = recipesIn(await readPage(/(^### The container image\n.*?)^##/ms));
  if (recipe === undefined) throw new Error('README says nothing of the container image');
  return recipe;
}

async function readPage(part: RegExp): Promise<string> {
  return part.exec(await readFile(join(PROJECT_ROOT, 'README.md'), 'utf8'))?.[1] ?? '';
}

/** The recipes of the chapter in their order. */
export function recipesIn(chapter: string): readonly Recipe[] {
  return chapter
    .split(/^### /m)
    .slice(1)
    .map((part) => ({ title: part.slice(0, part.indexOf('\n')), steps: parseSteps(part) }));
}

// The first line of a block says where it runs: `# on h1`, `# on each host, as a user without rights`.
function parseSteps(part: string): readonly Step[] {
  return [...part.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => {
    const [, where, rest = '', script = ''] = /^# on (each host|h\d+)(.*)\n([^]*)$/.exec(block) ?? [];
    if (where === undefined) throw new Error(`a block of README does not say where it runs: ${block}`);
    return {
      hosts: where === 'each host' ? undefined : [Number(where.slice(1))],
      isRootless: rest.includes('without rights'),
      script,
    };
  });
}

const FOLDER = '/run/recipes';
const RUN_MS = 60_000;

/** A host with programs of its own in front of PATH. */
export class RecipeHost {
  readonly host: Host;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(host: Host, env: Readonly<Record<string, string>>) {
    this.host = host;
    this.#env = env;
  }

  /** `path` are folders of programs. The host has `twill`, and a `dockerd` that notes its flags and ends. */
  static async open(host: Host, path: readonly string[] = []): Promise<RecipeHost> {
    await host.namespace.run(['mkdir', '-p', `${FOLDER}/root`, `${FOLDER}/user`]);
    const PATH = [`${FOLDER}/root`, ...path, process.env['PATH']].join(':');
    const made = new RecipeHost(host, { PATH, DOCKER_CONFIG: '/run/docker-cli' });
    await made.addProgram('twill', TWILL);
    await made.#write('root/dockerd', `printf '%s\\n' "$@" > ${FOLDER}/flags`);
    return made;
  }

  /** Adds a program that is a command line and what it is given. */
  async addProgram(name: string, command: readonly string[], isRootless = false): Promise<void> {
    const words = command.map((word) => `'${word}'`).join(' ');
    await this.#write(`${isRootless ? 'user' : 'root'}/${name}`, `exec ${words} "$@"`);
  }

  /** Runs a block and returns its output. Throws if one of its commands fails. */
  run({ script, isRootless }: Step, variables: Readonly<Record<string, string>>): Promise<string> {
    const path = isRootless ? `${FOLDER}/user:${this.#env['PATH']}` : this.#env['PATH'];
    const env = { ...this.#env, ...variables, PATH: path };
    return this.host.namespace.run(['sh', '-euc', `${script}\nwait`], { timeoutMs: RUN_MS, env });
  }

  /** The flags of dockerd in the last block; undefined: it started none. */
  async takeFlags(): Promise<readonly string[] | undefined> {
    const file = this.host.path(`${FOLDER}/flags`);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    await this.host.namespace.run(['rm', '-f', `${FOLDER}/flags`]);
    return text?.trim().split('\n');
  }

  async #write(name: string, line: string): Promise<void> {
    await writeFile(this.host.path(`${FOLDER}/${name}`), `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  }
}

export interface RecipeWorld {
  /** The address that `$PEER` stands for on this host. Asked for where a block uses it. */
  readonly peerOf: (number: number) => Promise<string>;
  /** Called after each block, with the number of its host. */
  readonly onStep?: (number: number) => Promise<void>;
}

/** Runs the blocks of a recipe, those for each host on the first two. Returns their outputs. */
export async function runRecipe(
  { steps }: Recipe,
  hosts: readonly RecipeHost[],
  { peerOf, onStep = async () => undefined }: RecipeWorld,
): Promise<readonly string[]> {
  const outputs: string[] = [];
  for (const step of steps) {
    for (const number of step.hosts ?? [1, 2]) {
      const [first, host] = [hosts[0], hosts[number - 1]];
      if (first === undefined || host === undefined) throw new Error(`there is no host ${number}`);
      const PEER = step.script.includes('$PEER') ? await peerOf(number) : '';
      outputs.push(await host.run(step, { NODE: first.host.address, PEER }));
      await onStep(number);
    }
  }
  return outputs;
}
