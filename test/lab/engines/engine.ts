// A real container engine on a host of the lab, as far as labs and the demo need one.
import type { Container } from '../container.ts';
import type { Host, SubnetEnv } from '../host.ts';
import type { Namespace } from '../namespace.ts';
import { labProgram } from '../paths.ts';

/** A container whose process runs. Its namespace is the network of that process. */
export interface EngineContainer extends Container {
  /** Runs a program of the image in the container, by the engine. Returns its output; throws if it fails. */
  exec(argv: readonly string[]): Promise<string>;
  /** Ends and removes the container. */
  remove(): Promise<void>;
}

/** An engine that runs on a host. */
export interface Engine {
  /** `Docker 28.5.2`. */
  readonly title: string;
  /** Starts a container on the engine's default network. It serves `sourceSeenBy`. */
  run(name: string): Promise<EngineContainer>;
  /** Stops the engine and its containers. */
  stop(): Promise<void>;
}

/** Starts an engine for the containers of the subnet in `env`. */
export type StartEngine = (host: Host, env: SubnetEnv) => Promise<Engine>;

/** Asks the web server of a container, and returns the source address that the container saw. */
export async function sourceSeenBy(address: string, from: Namespace, port = 80): Promise<string> {
  return (await from.run([...labProgram('http-get'), `http://${address}:${port}/cgi-bin/source`])).trim();
}
