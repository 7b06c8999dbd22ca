// A real container engine on a host of the lab, as far as labs and the demo need one.
import type { Container } from '../container.ts';
import type { Host, SubnetEnv } from '../host.ts';
import type { Namespace } from '../namespace.ts';

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

// A shell asks: it takes a twentieth of the time of a program of Node's. Our pipes look to it like those of a remote
// login, for which it would read its settings.
const ASK = `exec 3<>"/dev/tcp/$0/$1" && printf 'GET /cgi-bin/source HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;

/** Asks the web server of a container, and returns the source address that the container saw. */
export async function sourceSeenBy(address: string, from: Namespace, port = 80): Promise<string> {
  const answer = await from.run(['timeout', '3', 'bash', '--norc', '-c', ASK, address, String(port)]);
  return answer.trim().split('\n').at(-1) ?? '';
}
