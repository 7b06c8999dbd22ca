// The lab itself, without any agent: routes made by hand carry the traffic, so a failure here is the lab's.
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sourceSeen } from '../lab/datagram.ts';
import type { SubnetEnv } from '../lab/host.ts';
import { type Lab, OUTSIDE_ADDRESS, openLab } from '../lab/lab.ts';
import { ping, pingMatrix } from '../lab/ping.ts';
import { labFolder, labName, removeLab } from '../lab/sweep.ts';
import { transfer } from '../lab/transfer.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_ROOT, title } from '../support/needs.ts';

const MEBIBYTE = 1024 * 1024;

const envOf = (number: number): SubnetEnv => ({
  network: '10.5.0.0/16',
  subnet: `10.5.${number}.1/24`,
  mtuBytes: 1500,
  ipMasq: false,
});

describe.skipIf(NEEDS_ROOT.missing)(title('the lab', NEEDS_ROOT), () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab({ hosts: 3, routed: [3] });
    for (const [index, host] of lab.hosts.entries()) await host.addContainer(envOf(index + 1));
    await lab
      .host(1)
      .namespace.ip('route add 10.5.2.0/24 via 192.168.77.2', 'route add 10.5.3.0/24 via 192.168.77.254');
    await lab
      .host(2)
      .namespace.ip('route add 10.5.1.0/24 via 192.168.77.1', 'route add 10.5.3.0/24 via 192.168.77.254');
    await lab.router.ip(
      'route add 10.5.1.0/24 via 192.168.77.1',
      'route add 10.5.2.0/24 via 192.168.77.2',
      'route add 10.5.3.0/24 via 192.168.78.3',
    );
  });
  afterAll(async () => {
    await lab?.close();
  });

  const container = (number: number) => {
    const [found] = lab.host(number).containers;
    if (found === undefined) throw new Error('no container');
    return found;
  };

  it('each host of the lab has a name, a machine id and a /run of its own', async () => {
    const seen = await Promise.all(
      lab.hosts.map(({ namespace }) =>
        Promise.all([
          namespace.run(['hostname']),
          namespace.run(['cat', '/etc/machine-id']),
          namespace.run(['ls', '/run']),
        ]),
      ),
    );
    expect(seen.map(([name]) => name.trim())).toEqual(['h1', 'h2', 'h3']);
    expect(new Set(seen.map(([, id]) => id)).size).toBe(3);
    for (const [, , run] of seen) expect(run).toBe('flannel\n');
  });

  it('the lab carries pings between all containers, also through the router', async () => {
    const matrix = await pingMatrix(lab.hosts.flatMap(({ containers }) => containers));
    for (const [row, results] of matrix.entries()) {
      for (const [column, result] of results.entries()) {
        if (row !== column)
          expect(result, `${row + 1} to ${column + 1}`).toMatchObject({ sent: 3, received: 3 });
      }
    }
  });

  it('the lab reports an unanswered ping as a result', async () => {
    expect(await ping(container(1).namespace, '10.5.2.99')).toMatchObject({ sent: 1, received: 0 });
  });

  it('a transfer in the lab has the same checksum at both ends', async () => {
    const { sent, received } = await transfer(container(1), container(2), 5 * MEBIBYTE + 7);
    expect(sent.bytes).toBe(5 * MEBIBYTE + 7);
    expect(received).toMatchObject({ bytes: sent.bytes, sha256: sent.sha256 });
    expect(sent.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it('the lab shows the source address that a packet has outside', async () => {
    const [host] = lab.hosts;
    expect(await sourceSeen(container(1).namespace, lab.outside, OUTSIDE_ADDRESS)).toBe(container(1).address);
    await host?.namespace.run([
      'iptables',
      '-t',
      'nat',
      '-A',
      'POSTROUTING',
      '-o',
      'eth0',
      '-j',
      'MASQUERADE',
    ]);
    expect(await sourceSeen(container(1).namespace, lab.outside, OUTSIDE_ADDRESS)).toBe('192.168.77.1');
  });

  it('the lab leaves nothing behind, even with processes running in it', async () => {
    const doomed = await openLab({ hosts: 1 });
    const sleeper = doomed.host(1).start('sleeper', ['sleep', 'infinity']);
    await waitFor('it sleeps', 5_000, async () => {
      return (await readFile(`/proc/${sleeper.pid}/comm`, 'utf8')) === 'sleep\n';
    });
    await removeLab(doomed.tag);
    expect((await readdir('/run/netns')).filter((name) => name.startsWith(labName(doomed.tag, '')))).toEqual(
      [],
    );
    expect(existsSync(labFolder(doomed.tag))).toBe(false);
    expect((await sleeper.waitForExit(1_000)).signal).toBe('SIGKILL');
  });
});
