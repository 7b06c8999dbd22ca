// Hosts that run the recipes of README's chapter about containers as they stand there.
import { readFile, writeFile } from 'node:fs/promises';
import type { Host } from '../lab/host.ts';
import type { Section, Step } from '../lab/page.ts';
import { TWILL } from '../lab/paths.ts';

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
  run({ script, remark }: Step, variables: Readonly<Record<string, string>>): Promise<string> {
    const isRootless = remark.includes('without rights');
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
  { steps }: Section,
  hosts: readonly RecipeHost[],
  { peerOf, onStep = async () => undefined }: RecipeWorld,
): Promise<readonly string[]> {
  const outputs: string[] = [];
  for (const step of steps) {
    for (const number of numbersOf(step)) {
      const [first, host] = [hosts[0], hosts[number - 1]];
      if (first === undefined || host === undefined) throw new Error(`there is no host ${number}`);
      const PEER = step.script.includes('$PEER') ? await peerOf(number) : '';
      outputs.push(await host.run(step, { NODE: first.host.address, PEER }));
      await onStep(number);
    }
  }
  return outputs;
}

function numbersOf({ place }: Step): readonly number[] {
  if (place === 'checkout') throw new Error('a recipe runs on hosts');
  return place === 'each' ? [1, 2] : [place];
}
