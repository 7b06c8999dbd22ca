// The place of a measurement: two hosts, each with an agent and a container, and packets that reach the other side.
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import type { Container } from '../lab/container.ts';
import { type LabDatastore, openFolder } from '../lab/datastore.ts';
import { type Host, type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';

export type BackendName = 'host-gw' | 'vxlan' | 'udp';

/** The names of the backends in tables. */
export const BACKEND_TITLES: Readonly<Record<BackendName, string>> = {
  'host-gw': 'plain routing',
  vxlan: 'vxlan',
  udp: 'udp',
};

const READY_MS = 20_000;
const END_MS = 5_000;

export class Bed<Store extends LabDatastore = LabDatastore> implements AsyncDisposable {
  readonly backend: BackendName;
  readonly lab: Lab;
  readonly store: Store;
  /** The container of the first host, and the one of the second. */
  readonly first: Container;
  readonly second: Container;
  readonly #agents: AgentProcess[];
  #programs = 0;

  constructor(
    backend: BackendName,
    lab: Lab,
    store: Store,
    agents: readonly AgentProcess[],
    containers: readonly Container[],
  ) {
    const [first, second] = containers;
    if (first === undefined || second === undefined) throw new Error('a bed has two containers');
    this.backend = backend;
    this.lab = lab;
    this.store = store;
    this.#agents = [...agents];
    this.first = first;
    this.second = second;
  }

  /** The agents that run, in the order of the hosts. */
  get agents(): readonly AgentProcess[] {
    return this.#agents;
  }

  /** Ends the agent of the first host by a signal, starts it again, and waits until it is ready. */
  async restartFirstAgent(signal: NodeJS.Signals): Promise<void> {
    await this.#agents[0]?.stop(signal);
    this.#agents[0] = await startReadyAgent(this.lab.host(1), this.store);
  }

  /** Starts a program in a container. Disposing of it ends it. */
  start(container: Container, argv: readonly string[]): LabProcess & AsyncDisposable {
    this.#programs += 1;
    const log = `${this.lab.folder}/${container.name}-${this.#programs}.log`;
    const program = new LabProcess(container.namespace.command(argv), log);
    // A program that blocks in poll handles no signal, so it is killed.
    const end = async (): Promise<void> => {
      if (program.isRunning) await program.stop('SIGKILL', END_MS);
    };
    return Object.assign(program, { [Symbol.asyncDispose]: end });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.close();
  }
}

async function startReadyAgent(host: Host, store: LabDatastore): Promise<AgentProcess> {
  const agent = host.startAgent([...store.flags, '--iface=eth0', `--healthz-port=${HEALTHZ_PORT}`]);
  await agent.waitReady(READY_MS);
  return agent;
}

/** Makes a bed whose datastore is a folder, so that only the agents run beside the measurement. */
export async function openBed(backend: BackendName): Promise<Bed> {
  return openBedOn(backend, (lab) => Promise.resolve(openFolder(lab)));
}

/** Makes a bed on a datastore of the caller's choice. If a step fails, removes the parts made before. */
export async function openBedOn<Store extends LabDatastore>(
  backend: BackendName,
  openStore: (lab: Lab) => Promise<Store>,
): Promise<Bed<Store>> {
  const lab = await openLab({ hosts: 2 });
  try {
    const store = await openStore(lab);
    await store.setNetwork({ Network: OVERLAY, Backend: { Type: backend } });
    const agents = await Promise.all(lab.hosts.map((host) => startReadyAgent(host, store)));
    const containers = await Promise.all(lab.hosts.map((host) => host.addContainer()));
    const bed = new Bed(backend, lab, store, agents, containers);
    await waitFor(`${backend}: the containers reach each other`, READY_MS, async () => {
      return (await ping(bed.first.namespace, bed.second.address)).received > 0;
    });
    return bed;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** Makes one bed after the other, one a backend. Removes them all after `work`, even if it fails. */
export async function withBeds(
  backends: readonly BackendName[],
  work: (beds: readonly Bed[]) => Promise<void>,
): Promise<void> {
  const beds: Bed[] = [];
  try {
    for (const backend of backends) beds.push(await openBed(backend));
    await work(beds);
  } finally {
    for (const bed of beds) await bed.lab.close();
  }
}
