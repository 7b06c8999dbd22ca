// The world of a node with a watch on what is asked of it: a kernel, a firewall or a disk that does not answer is seen
// while the loop that asked still waits.
import type { NodeFirewall } from '../model/firewall.ts';
import type { Pulse } from '../observe/pulse.ts';
import type { NodeWorld } from './world.ts';

/** The same world; `pulse` knows of its calls. The datastore has its own way to tell that it is away. */
export function withPulse(world: NodeWorld, pulse: Pulse): NodeWorld {
  const { kernel, hostSource, handOff } = world;
  return {
    ...world,
    kernel: {
      read: (signal) => pulse.during('reading the kernel', () => kernel.read(signal)),
      apply: (changes, signal) => pulse.during('changing the kernel', () => kernel.apply(changes, signal)),
      watch: (signal) => kernel.watch(signal),
      [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
    },
    hostSource: {
      read: () => pulse.during('reading the interfaces', () => hostSource.read()),
      watch: (onChange, signal) => hostSource.watch(onChange, signal),
    },
    handOff: {
      name: handOff.name,
      previousSubnet: () => handOff.previousSubnet(),
      write: (env) => pulse.during(`writing ${handOff.name}`, () => handOff.write(env)),
    },
    openFirewall: async (config, signal) =>
      firewallWithPulse(await world.openFirewall(config, signal), pulse),
  };
}

function firewallWithPulse(firewall: NodeFirewall, pulse: Pulse): NodeFirewall {
  const what = `looking after the ${firewall.mode} rules`;
  return {
    mode: firewall.mode,
    ensure: (rules, signal) => pulse.during(what, () => firewall.ensure(rules, signal)),
    remove: (signal) => pulse.during(what, () => firewall.remove(signal)),
    obstacles: (network, signal) => pulse.during(what, () => firewall.obstacles(network, signal)),
  };
}
