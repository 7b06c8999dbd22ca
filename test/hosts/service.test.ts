// The shipped unit on booted hosts: systemd sees that the agent is ready and alive, and restarts one that is neither.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { title } from '../support/needs.ts';
import { addContainer, exposureOf, HOSTS, NEEDS_HOSTS, subnetOf, UNIT, useHosts } from './bed.ts';

/** The exposure that `systemd-analyze security` may find, of 10. */
const MOST_EXPOSURE = 2.3;
const ROWS = HOSTS.map((host) => [host.title, host] as const);
const SHORT_WATCHDOG = '[Service]\nWatchdogSec=2\n';

describe.skipIf(NEEDS_HOSTS.missing)(title('a host with systemd', NEEDS_HOSTS), () => {
  const bed = useHosts();

  it.each(ROWS)('%s knows all keys of the units, and finds the agent as safe as it was', async (_, host) => {
    const system = bed().system(host);
    for (const unit of [UNIT, 'twill-docker.path', 'twill-docker.service']) {
      const { exitCode, stdout, stderr } = await system.exec(['systemd-analyze', 'verify', unit]);
      expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    }
    const { exposure, report } = await exposureOf(system);
    process.stdout.write(`${host.title}: exposure ${exposure} of 10\n`);
    expect(exposure, report).toBeLessThanOrEqual(MOST_EXPOSURE);
  });

  it.each(ROWS)(
    'the start on %s is over when the network stands, by a message of the agent itself',
    async (_, host) => {
      const system = bed().system(host);
      await system.start(UNIT);
      expect(await system.show(UNIT, 'ActiveState')).toBe('active');
      expect(await system.show(UNIT, 'NotifyAccess')).toBe('main');
      expect(await system.show(UNIT, 'StatusText')).toMatch(/^subnet 10\.5\.\d+\.0\/24, vxlan, \d peers$/);
      expect(await system.run('cat', '/run/flannel/subnet.env')).toContain('FLANNEL_NETWORK=10.5.0.0/16');
      expect(await system.journal(UNIT)).not.toMatch(/ (?:warn|error) /);
    },
  );

  describe.each(ROWS)('the agent on %s', (_, host) => {
    const system = () => bed().system(host);
    beforeAll(() => system().start(UNIT));

    it('comes back after SIGKILL, on its subnet, and no packet is lost', async () => {
      const subnet = await subnetOf(system());
      const [one, two] = await Promise.all(bed().systems.map(addContainer));
      if (one === undefined || two === undefined) throw new Error('there are no two hosts');
      await using stream = new PingStream(one, two, join(bed().lab.folder, 'pings'));
      await stream.flows();
      const pid = await system().show(UNIT, 'MainPID');
      await system().run('kill', '-KILL', pid);
      await system().waitFor(UNIT, 'NRestarts', /^1$/);
      await system().waitFor(UNIT, 'ActiveState', /^active$/);
      expect(await system().show(UNIT, 'MainPID')).not.toBe(pid);
      expect(await subnetOf(system())).toBe(subnet);
      await stream.flows();
      expect(await stream.lost()).toBe(0);
    });

    it('is restarted by the watchdog when it stands still', async () => {
      await using _edit = await system().edit(UNIT, SHORT_WATCHDOG);
      await system().start(UNIT, 'restart');
      // Fed: it lives longer than the limit.
      await systemClock.sleep(5_000);
      expect(await system().show(UNIT, 'NRestarts')).toBe('0');
      const pid = await system().show(UNIT, 'MainPID');
      await system().run('kill', '-STOP', pid);
      await system().waitFor(UNIT, 'NRestarts', /^1$/);
      await system().waitFor(UNIT, 'ActiveState', /^active$/);
      expect(await system().show(UNIT, 'MainPID')).not.toBe(pid);
      expect(await system().journal(UNIT)).toContain("Failed with result 'watchdog'");
    });

    it('leaves subnet.env and the routes when it is stopped, and takes the same subnet again', async () => {
      const subnet = await subnetOf(system());
      const routes = await system().run('ip', 'route', 'show', 'proto', '84');
      await system().run('systemctl', 'stop', UNIT);
      expect(await system().show(UNIT, 'Result')).toBe('success');
      expect(await subnetOf(system())).toBe(subnet);
      expect(routes).not.toBe('');
      expect(await system().run('ip', 'route', 'show', 'proto', '84')).toBe(routes);
      await system().start(UNIT);
      expect(await subnetOf(system())).toBe(subnet);
    });

    it('is not started again and again with a wrong flag', async () => {
      await using _edit = await system().edit(UNIT, '[Service]\nEnvironment=TWILL_OPTIONS=--no-such-flag\n');
      const { exitCode } = await system().exec(['systemctl', 'restart', UNIT]);
      expect(exitCode).not.toBe(0);
      await system().waitFor(UNIT, 'ActiveState', /^failed$/);
      expect(await system().journal(UNIT)).toContain('unknown flag --no-such-flag');
    });

    it('has its subnet again after a reboot of the host', async () => {
      await system().start(UNIT, 'restart');
      const subnet = await subnetOf(system());
      await system().run('systemctl', 'enable', UNIT);
      await system().reboot();
      await system().waitFor(UNIT, 'ActiveState', /^active$/);
      expect(await subnetOf(system())).toBe(subnet);
      expect(await system().run('sysctl', '-n', 'net.ipv4.ip_forward')).toBe('1');
    });
  });

  it('agents that wait for their datastore are alive, and say what they wait for', async () => {
    const { systems, etcd } = bed();
    // The bed goes after this test, and the edits with it.
    for (const system of systems) await system.edit(UNIT, SHORT_WATCHDOG);
    etcd.members[0]?.pause();
    for (const system of systems) await system.run('systemctl', 'restart', '--no-block', UNIT);
    for (const system of systems) await system.waitFor(UNIT, 'StatusText', /etcd/);
    await systemClock.sleep(5_000);
    for (const system of systems) {
      expect(await system.show(UNIT, 'ActiveState')).toBe('activating');
      expect(await system.show(UNIT, 'NRestarts')).toBe('0');
    }
    etcd.members[0]?.resume();
    for (const system of systems) await system.waitFor(UNIT, 'ActiveState', /^active$/);
    for (const system of systems) await system.waitFor(UNIT, 'StatusText', /1 peers/);
  });
});
