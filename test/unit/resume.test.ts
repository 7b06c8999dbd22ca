// A record of the last run that opens no data plane does not stop the agent from starting.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { dataPlaneFile } from '../../agent/handoff/data-plane-file.ts';
import type { BackendConfig } from '../../agent/model/network-config.ts';
import { resumeDataPlane } from '../../agent/resume.ts';
import { prefix } from '../support/build.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twill-resume-'));
});
afterEach(() => rm(folder, { recursive: true }));

const resume = () =>
  resumeDataPlane({ subnetFile: join(folder, 'subnet.env'), log: { level: 'error', format: 'text' } });

async function record(backend: BackendConfig): Promise<void> {
  const plane = {
    family: 'ipv4' as const,
    network: prefix('10.5.0.0/16'),
    subnet: prefix('10.5.1.0/24'),
    end: { address: '192.168.77.1', publicIP: '192.168.77.1' },
  };
  await (await resume()).write({ backend, input: { planes: [{ plane, peers: [] }] } });
  expect(await dataPlaneFile(join(folder, 'subnet.env'), systemClock).read()).toBeDefined();
}

it('the agent resumes nothing without a record', async () => {
  expect((await resume()).resumed).toBeUndefined();
});

it('the agent resumes nothing from a junk record', async () => {
  const { path } = dataPlaneFile(join(folder, 'subnet.env'), systemClock);
  await writeFile(path, Buffer.alloc(1_000, 0xff), { mode: 0o600 });
  expect((await resume()).resumed).toBeUndefined();
});

it.each([
  ['without a data plane', { type: 'host-gw', options: {} }],
  ['that does not exist', { type: '__proto__', options: {} }],
  ['with a wrong option', { type: 'udp', options: { Port: 0 } }],
])('the agent resumes nothing from a record of a backend %s', async (_, backend) => {
  await record(backend);
  expect((await resume()).resumed).toBeUndefined();
});
