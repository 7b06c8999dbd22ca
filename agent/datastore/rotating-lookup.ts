// The addresses of a server's name.
import { type LookupAddress, type LookupAllOptions, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

type FindAll = (
  name: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Looks a name up, and begins with another of its addresses each time. The system's order is always the same: without
 * this an agent would come back to an address whose server takes connections but answers nothing.
 */
export function createRotatingLookup(random: () => number, find: FindAll = lookup): LookupFunction {
  let turn: number | undefined;
  return (name, options, callback) => {
    find(name, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      turn = turn === undefined ? Math.floor(random() * addresses.length) : turn + 1;
      const start = turn % addresses.length;
      const rotated = [...addresses.slice(start), ...addresses.slice(0, start)];
      if (options.all === true) return callback(null, rotated);
      callback(null, rotated[0]?.address ?? '', rotated[0]?.family);
    });
  };
}
