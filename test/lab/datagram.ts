// Shows the source address with which a packet arrives.
import { systemClock } from '../../agent/base/clock.ts';
import type { Namespace } from './namespace.ts';
import { labProgram } from './paths.ts';
import { waitFor } from './wait.ts';

const PORT = 5_300;

/** Sends datagrams from one namespace to `address` in another and returns their source address there. */
export async function sourceSeen(from: Namespace, to: Namespace, address: string): Promise<string> {
  const program = labProgram('datagram-end');
  const listening = to.run([...program, 'listen', String(PORT)], { timeoutMs: 8_000 });
  listening.catch(() => undefined);
  await waitFor(`${to.name} listens`, 5_000, async () => {
    await Promise.race([listening, systemClock.sleep(1)]);
    return (await to.run(['ss', '-Huln', 'sport', '=', `:${PORT}`])).includes(String(PORT));
  });
  await from.run([...program, 'send', String(PORT), address]);
  return (await listening).trim();
}
