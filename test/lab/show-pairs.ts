// The proof of a demo that its containers reach each other, and as whom.
import type { Container } from './container.ts';
import { sourceSeenBy } from './engines/engine.ts';
import { pingMatrix } from './ping.ts';
import { formatMatrix, type Screen } from './screen.ts';
import { mapLimited } from './wait.ts';

const SOURCES_SHOWN = 3;

/** Pings from each to each. Returns the number of pairs, and of those that answer. */
export async function showPings(
  containers: readonly Container[],
  screen: Screen,
): Promise<{ readonly pairs: number; readonly answered: number }> {
  const matrix = await pingMatrix(containers);
  const pings = matrix.flat().filter((result) => result !== undefined);
  const answered = pings.filter(({ sent, received }) => received === sent && received > 0).length;
  screen.step('Ping', `${answered} of ${pings.length} pairs answer; milliseconds, from row to column`);
  for (const line of formatMatrix(
    containers.map(({ name }) => name),
    matrix,
  ))
    screen.quote(line);
  return { pairs: pings.length, answered };
}

/** Returns whether each container sees the own address of each other one. */
export async function showSources(containers: readonly Container[], screen: Screen): Promise<boolean> {
  screen.step('Sources', 'of TCP connections, as each container sees them');
  let areTrue = true;
  for (const to of containers) {
    const others = containers.filter((from) => from !== to);
    const seen = await mapLimited(others, 4, async (from) => {
      const source = await sourceSeenBy(to.address, from.namespace);
      areTrue &&= source === from.address;
      return `${from.name} as ${source}`;
    });
    const more = seen.length > SOURCES_SHOWN ? ', …' : '';
    screen.quote(`${to.name} ${to.address} sees ${seen.slice(0, SOURCES_SHOWN).join(', ')}${more}`);
  }
  return areTrue;
}
