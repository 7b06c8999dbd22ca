// Machines that were cloned from one image: they have one machine id and one host name, and MACs of their own.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT_CODES } from '../../agent/base/errors.ts';
import { HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { type Host, type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

const CLONES = 8;
const NAME = 'golden-image';
const MACHINE_ID = '0123456789abcdef0123456789abcdef';
// Several suites may run on the machine. A question would cost each of them ten seconds.
const START_MS = 20_000;

async function makeClone(host: Host): Promise<void> {
  await writeFile(host.path('/etc/machine-id'), `${MACHINE_ID}\n`);
  await host.namespace.run(['hostname', NAME]);
}

describe.skipIf(NEEDS_CLUSTER.missing)(title('clones', NEEDS_CLUSTER), () => {
  let lab: Lab;
  let etcd: LabEtcd;
  beforeAll(async () => {
    lab = await openLab({ hosts: CLONES });
    etcd = await startLabEtcd(lab);
    await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
    for (const host of lab.hosts) await makeClone(host);
  });
  afterAll(async () => {
    await lab?.close();
  });

  const flags = () => [...etcd.flags, `--healthz-port=${HEALTHZ_PORT}`];
  const revisions = async (): Promise<string[]> => {
    const answer = await etcd.etcdctl('get', '--prefix', '/coreos.com/network/subnets/', '--write-out=json');
    return [...answer.matchAll(/"mod_revision":(\d+)/g)].map(([, revision = '']) => revision);
  };

  it('clones that start together get a subnet each, ask nobody, and then leave all leases alone', async () => {
    const agents = lab.hosts.map((host) => host.startAgent([...flags(), '--iface=eth0']));
    await Promise.all(agents.map((agent) => agent.waitReady(START_MS)));
    const envs = await Promise.all(lab.hosts.map((host) => host.subnetEnv()));
    expect(new Set(envs.map((env) => env?.subnet)).size).toBe(CLONES);
    const before = await revisions();
    expect(before).toHaveLength(CLONES);
    // Half of them start again: each finds its own lease among those of its clones.
    for (const agent of agents.slice(0, CLONES / 2)) await agent.stop('SIGKILL');
    const again = lab.hosts.slice(0, CLONES / 2).map((host) => host.startAgent([...flags(), '--iface=eth0']));
    await Promise.all(again.map((agent) => agent.waitReady(START_MS)));
    expect(await Promise.all(lab.hosts.map((host) => host.subnetEnv()))).toEqual(envs);
    expect(await revisions()).toEqual(before);
    for (const agent of [...agents, ...again])
      expect(await agent.log()).not.toMatch(/asks|asking|overwritten/);
    for (const agent of [...agents.slice(CLONES / 2), ...again]) await agent.stop();
  });

  it('a clone with the address of a live one ends with both names and MACs, and the first one keeps its packets', async () => {
    const [first, second, third] = lab.hosts;
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few hosts');
    await second.namespace.run(['rm', '-f', '/run/flannel/subnet.env']);
    const running = [first, third].map((host) => host.startAgent([...flags(), '--iface=eth0']));
    await Promise.all(running.map((agent) => agent.waitReady(START_MS)));
    const env = await first.subnetEnv();
    const [from, to] = [await first.addContainer(), await third.addContainer()];
    await using stream = new PingStream(from, to, join(lab.folder, 'clones-ping.log'));
    await stream.flows();
    // As every Vagrant machine has 10.0.2.15 on its first link.
    const agent = second.startAgent([...flags(), '--iface=eth0', `--public-ip=${first.address}`]);
    const exit = await agent.process.waitForExit(START_MS);
    expect(exit.code, await agent.log()).toBe(EXIT_CODES.conflict);
    const macOf = async (host: Host): Promise<string | undefined> =>
      /link\/ether (\S+)/.exec(await host.namespace.run(['ip', '-o', 'link', 'show', 'eth0']))?.[1];
    expect(await agent.log()).toContain(
      `node ${NAME} (MAC ${await macOf(first)}) is alive and has our public address ${first.address}: ` +
        `its subnet is ${env?.subnet.replace('.1/', '.0/')}, and we are node ${NAME} (MAC ${await macOf(second)})`,
    );
    await running[0]?.waitForLine(/node golden-image asks whether we are alive: answering/);
    await stream.flows();
    expect(await stream.lost()).toBe(0);
    expect([await first.subnetEnv(), running[0]?.process.isRunning]).toEqual([env, true]);
    for (const stopped of running) await stopped.stop();
  });
});
