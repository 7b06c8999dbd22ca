// `twill cleanup` removes everything that the agent leaves on a host. The lease stays in the datastore: it expires, and
// the host may want it again.
import { lstat, rm } from 'node:fs/promises';
import { systemClock } from './base/clock.ts';
import { asTwillError } from './base/errors.ts';
import { exec } from './base/exec.ts';
import { createLogger } from './base/log.ts';
import { openFirewall } from './firewall/open-firewall.ts';
import { createTunnelFilter } from './firewall/tunnel-filter.ts';
import { dataPlaneFile } from './handoff/data-plane-file.ts';
import { removeForm } from './handoff/form.ts';
import { engineForms } from './handoff/hand-off-files.ts';
import { diff, formatChange } from './kernel/diff.ts';
import { addressSets } from './kernel/netlink/address-sets.ts';
import { rulesetReader } from './kernel/netlink/ruleset.ts';
import { openNetlinkKernel } from './kernel/netlink-kernel.ts';
import { readTableSizes } from './kernel/old-iptables.ts';
import { NODE_CACHE } from './kubernetes/cache-path.ts';
import type { Firewall } from './model/firewall.ts';
import { statusFile } from './observe/status-file.ts';
import type { AgentOptions } from './options.ts';

/**
 * Removes our objects from this host, as many as possible. Gives a line for each. Fails as `host` with the first that
 * stays.
 */
export async function cleanupHost(options: AgentOptions, signal: AbortSignal): Promise<readonly string[]> {
  await using kernel = openNetlinkKernel();
  const changes = diff([], await kernel.read(signal));
  const failures = await kernel.apply(changes, signal);
  const kept = new Set(failures.map(({ change }) => change));
  const lines = changes.filter((change) => !kept.has(change)).map(formatChange);
  const errors: unknown[] = failures.map(({ error }) => error);
  const remove = async (what: string, work: () => Promise<boolean>): Promise<void> => {
    try {
      if (await work()) lines.push(`- ${what}`);
    } catch (error) {
      errors.push(error);
    }
  };
  for (const firewall of await firewalls()) {
    await remove(`${firewall.mode} rules`, () => firewall.remove(signal));
  }
  const tunnelFilter = createTunnelFilter({ exec, reader: rulesetReader, sets: addressSets });
  await remove('filter of the tunnel port', () => tunnelFilter.remove(signal));
  const dataPlane = dataPlaneFile(options.subnetFile, systemClock);
  const { subnetFile, statusSocket } = options;
  const files = [
    subnetFile,
    dataPlane.path,
    statusFile(subnetFile),
    NODE_CACHE,
    ...(statusSocket === undefined ? [] : [statusSocket]),
  ];
  for (const path of files) {
    await remove(`file ${path}`, () => removeFile(path));
  }
  for (const form of await engineForms(options.handOff, systemClock)) {
    await remove(`file ${form.path}`, async () => {
      const outcome = await removeForm(form);
      if (outcome === 'kept') lines.push(`  file ${form.path} stays: another program or user wrote it`);
      return outcome === 'removed';
    });
  }
  if (errors.length > 0) throw errors[0];
  return lines;
}

async function firewalls(): Promise<Firewall[]> {
  try {
    const { active, inactive } = await openFirewall({
      enableNFTables: false,
      log: createLogger('twill', { level: 'error', format: 'text' }),
      exec,
      reader: rulesetReader,
      readSizes: readTableSizes,
    });
    return inactive === undefined ? [active] : [active, inactive];
  } catch {
    // Without an installed firewall there are no rules of ours.
    return [];
  }
}

async function removeFile(path: string): Promise<boolean> {
  try {
    if ((await lstat(path).catch(() => undefined)) === undefined) return false;
    await rm(path);
    return true;
  } catch (error) {
    throw asTwillError(error, 'host', `cannot remove ${path}`);
  }
}
