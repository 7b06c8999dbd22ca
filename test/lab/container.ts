// A container as far as the network sees it: a namespace with one veth on its host's docker0.
import type { SubnetEnv } from './host.ts';
import { makeNamespace, type Namespace } from './namespace.ts';
import { labName } from './sweep.ts';

export interface Container {
  /** `c1` is the first container of host `h1`, `c1-2` the second. */
  readonly name: string;
  readonly address: string;
  readonly namespace: Namespace;
}

interface ContainerPlace {
  readonly tag: string;
  readonly name: string;
  readonly host: Namespace;
  /** 0 for the host's first container. */
  readonly index: number;
  readonly env: SubnetEnv;
}

/** Makes a container. Gives docker0 its address and MTU, which stay the same from the second container on. */
export async function attachContainer(place: ContainerPlace): Promise<Container> {
  const { name, host, index, env } = place;
  const full = labName(place.tag, name);
  const [bridgeAddress = '', length = ''] = env.subnet.split('/');
  const network = bridgeAddress.split('.').map(Number);
  const address = [...network.slice(0, 3), (network[3] ?? 0) + 1 + index].join('.');
  const namespace = await makeNamespace(full);
  const { mtuBytes } = env;
  await host.ip(
    `link add ${name} mtu ${mtuBytes} type veth peer name eth0 mtu ${mtuBytes} netns ${full}`,
    `link set ${name} master docker0 up`,
    `link set docker0 mtu ${mtuBytes}`,
    `addr replace ${env.subnet} dev docker0`,
  );
  await namespace.ip(
    `addr add ${address}/${length} dev eth0`,
    'link set eth0 up',
    `route add default via ${bridgeAddress}`,
  );
  return { name, address, namespace };
}
