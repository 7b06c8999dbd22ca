// Lets packets move again before anything else of the agent is loaded, where the last run has left a record of its
// data plane. A packet between two runs is lost, and waiting for the datastore takes most of a start.
import { systemClock as clock } from './base/clock.ts';
import { messageOf } from './base/errors.ts';
import { createLogger } from './base/log.ts';
import { dataPlaneFile } from './handoff/data-plane-file.ts';
import type { DataPlaneMemory } from './model/data-plane-memory.ts';
import { formatPrefix } from './model/ip.ts';
import type { AgentOptions } from './options.ts';

type ResumeOptions = Pick<AgentOptions, 'subnetFile' | 'log'>;

/** Opens the data plane of the last run. Where it has left none, or that cannot be opened, the agent starts without. */
export async function resumeDataPlane(options: ResumeOptions): Promise<DataPlaneMemory> {
  const file = dataPlaneFile(options.subnetFile, clock);
  return { resumed: await openRecorded(), write: (record) => file.write(record) };

  async function openRecorded(): Promise<DataPlaneMemory['resumed']> {
    const log = createLogger('twill', options.log);
    try {
      const record = await file.read();
      if (record === undefined) return undefined;
      const { createBackend } = await import('../backends/index.ts');
      const backend = await createBackend(record.backend, file.path);
      const dataPlane = await backend.openDataPlane?.(record.input, { clock, log: log.for(backend.type) });
      if (dataPlane === undefined) return undefined;
      for (const { plane, peers } of record.input.planes) {
        log.info('packets move as in the last run', {
          subnet: formatPrefix(plane.subnet),
          peers: peers.length,
        });
      }
      return { ...record, dataPlane };
    } catch (error) {
      log.debug(`the data plane of the last run is not resumed: ${messageOf(error)}`);
      return undefined;
    }
  }
}
