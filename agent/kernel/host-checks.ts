// Reads the settings, addresses and routes of this host that decide whether it carries the overlay's packets.
import { readFileSync, writeFileSync } from 'node:fs';
import { errnoOf, messageOf, TwillError } from '../base/errors.ts';
import { ALL_LINKS, type HostChecks } from '../model/host-checks.ts';
import { readAddressesIn, readRoutesTowards, watchAddressesIn } from './netlink/host-addresses.ts';
import { kernelError, openRouteSocket, type RtNetlinkSocket } from './netlink/socket.ts';

const SETTINGS = '/proc/sys/net/ipv4';

/** The checks of this network namespace. */
export function createHostChecks(): HostChecks {
  return {
    closedLinks: async (links) => links.filter((link) => readSetting(`conf/${link}/forwarding`) === '0'),
    open: async (link) => writeSetting(link === ALL_LINKS ? 'ip_forward' : `conf/${link}/forwarding`, '1'),
    async addressesIn(network) {
      const { addresses, seen } = await withSocket('addresses', (socket) => readAddressesIn(socket, network));
      // One of the two settings is enough.
      const answers = (link: string): boolean => readSetting(`conf/${link}/proxy_arp`) === '1';
      const all = answers(ALL_LINKS);
      return {
        addresses: addresses.map((each) => ({ ...each, answersForOthers: all || answers(each.dev) })),
        seen,
      };
    },
    watchAddressesIn,
    routesTowards: (addresses) => withSocket('routes', (socket) => readRoutesTowards(socket, addresses)),
  };
}

/** The value; undefined: there is no such setting, as for a link that has just gone. */
function readSetting(name: string): string | undefined {
  try {
    // The kernel answers at once. A thread for it would cost more.
    return readFileSync(`${SETTINGS}/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function writeSetting(name: string, value: string): void {
  const path = `${SETTINGS}/${name}`;
  try {
    writeFileSync(path, value);
  } catch (error) {
    const why = errnoOf(error) === 'EROFS' ? 'it is mounted read-only' : messageOf(error);
    throw new TwillError('host', `cannot write ${path}: ${why}`, { cause: error });
  }
}

async function withSocket<T>(what: string, read: (socket: RtNetlinkSocket) => Promise<T>): Promise<T> {
  const socket = openRouteSocket();
  try {
    return await read(socket);
  } catch (error) {
    throw kernelError(`cannot read the ${what} of this host`, error);
  } finally {
    socket.socket.close();
  }
}
