// Puts the calls of a node to its kernel, firewall and files under a watchdog: a call that hangs is noticed while its
// loop still waits.
import type { NodeFirewall } from '../model/firewall.ts';
import type { Watchdog } from '../observe/watchdog.ts';
import { LIMITS } from './limits.ts';
import type { NodeWorld } from './world.ts';

/** The same world, with its calls tracked by `watchdog`. The datastore has time limits of its own. */
export function watchWorld(world: NodeWorld, watchdog: Watchdog): NodeWorld {
  const { kernel, hostSource, hostChecks, handOff } = world;
  return {
    ...world,
    kernel: {
      read: (signal) => watchdog.during('reading the kernel', () => kernel.read(signal)),
      apply: (changes, signal) => watchdog.during('changing the kernel', () => kernel.apply(changes, signal)),
      watch: (signal) => kernel.watch(signal),
      [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
    },
    hostSource: {
      read: (inUse) => watchdog.during('reading the interfaces', () => hostSource.read(inUse)),
      watch: (onChange, signal) => hostSource.watch(onChange, signal),
    },
    hostChecks: {
      closedLinks: (links) => watchdog.during('reading /proc/sys', () => hostChecks.closedLinks(links)),
      open: (link) => watchdog.during('writing /proc/sys', () => hostChecks.open(link)),
      addressesIn: (network) => watchdog.during('reading addresses', () => hostChecks.addressesIn(network)),
      watchAddressesIn: (network, onChange, signal) => hostChecks.watchAddressesIn(network, onChange, signal),
      routesTowards: (addresses) =>
        watchdog.during('looking up routes', () => hostChecks.routesTowards(addresses)),
    },
    handOff: {
      name: handOff.name,
      previousSubnet: () => handOff.previousSubnet(),
      write: (env) => watchdog.during(`writing ${handOff.name}`, () => handOff.write(env)),
      retract: (subnet) => watchdog.during('removing files for engines', () => handOff.retract(subnet)),
    },
    openFirewall: async (config, signal) => watchFirewall(await world.openFirewall(config, signal), watchdog),
  };
}

function watchFirewall(firewall: NodeFirewall, watchdog: Watchdog): NodeFirewall {
  const what = `checking the ${firewall.mode} rules`;
  const during = <T>(work: () => Promise<T>): Promise<T> =>
    watchdog.during(what, work, LIMITS.firewallCallMs);
  return {
    mode: firewall.mode,
    ensure: (rules, signal) => during(() => firewall.ensure(rules, signal)),
    remove: (signal) => during(() => firewall.remove(signal)),
    obstacles: (traffic, signal) => during(() => firewall.obstacles(traffic, signal)),
    isAnnounced: () => firewall.isAnnounced(),
    isConcerned: (change) => firewall.isConcerned(change),
    mayObstruct: (change) => firewall.mayObstruct(change),
    hasUnheardChange: () => firewall.hasUnheardChange(),
  };
}
