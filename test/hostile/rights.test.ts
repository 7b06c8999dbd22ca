// The agent as an unprivileged user with CAP_NET_ADMIN alone. Whoever takes the process over has no more than that.
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { startLabEtcd } from '../lab/datastore.ts';
import { type Host, type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { PROJECT_ROOT, TWILL } from '../lab/paths.ts';
import { ping } from '../lab/ping.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_CLUSTER, needsProgram, title } from '../support/needs.ts';

const need = allOf(NEEDS_CLUSTER, needsProgram('setpriv'));
const USER = '65534';
const PATH_MS = 10_000;
const END_MS = 10_000;

/** Command line of the agent as that user with these capabilities, such as `+net_admin`. */
function unprivileged(capabilities: string, args: readonly string[]): readonly string[] {
  const only = `-all${capabilities === '' ? '' : `,${capabilities}`}`;
  const user = [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--no-new-privs'];
  const rights = [`--bounding-set=${only}`, `--inh-caps=${only}`, `--ambient-caps=${only}`];
  const main = TWILL[1].replace(PROJECT_ROOT, '/run/twill');
  return ['setpriv', ...user, ...rights, '/run/node', main, 'run', '--iface=eth0', '--ip-masq', ...args];
}

/** Lets the user read the program, write subnet.env, and open the TUN device where `hasTun` is true. */
async function prepare(host: Host, hasTun: boolean): Promise<void> {
  const { namespace } = host;
  await mkdir(host.path('/run/twill'));
  await writeFile(host.path('/run/node'), '');
  await namespace.run(['mount', '--bind', PROJECT_ROOT, '/run/twill']);
  await namespace.run(['mount', '--bind', process.execPath, '/run/node']);
  await namespace.run(['chown', USER, '/run/flannel']);
  await namespace.run(['mknod', '/run/tun', 'c', '10', '200']);
  await namespace.run(['chmod', hasTun ? '666' : '600', '/run/tun']);
  await namespace.run(['mount', '--bind', '/run/tun', '/dev/net/tun']);
}

function start(host: Host, capabilities: string, flags: readonly string[]): AgentProcess {
  const argv = unprivileged(capabilities, [...flags, `--healthz-port=${HEALTHZ_PORT}`]);
  return new AgentProcess(host.namespace, host.start('agent', argv));
}

async function openStore(lab: Lab, backend: string, network: object = {}): Promise<readonly string[]> {
  const etcd = await startLabEtcd(lab);
  await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: backend }, ...network });
  return etcd.flags;
}

const FIREWALLS = [
  ['iptables', {}],
  ['nftables', { EnableNFTables: true }],
] as const;
const BACKENDS = ['vxlan', 'host-gw', 'udp', 'alloc'] as const;
const ROWS = BACKENDS.flatMap((backend) => FIREWALLS.map((firewall) => [backend, ...firewall] as const));

describe.skipIf(need.missing)(title('an agent with CAP_NET_ADMIN alone', need), () => {
  it.each(ROWS)('%s with %s: two agents become ready, and packets flow', async (backend, _, network) => {
    await using lab = await openLab({ hosts: 2 });
    const flags = await openStore(lab, backend, network);
    for (const host of lab.hosts) await prepare(host, true);
    const agents = lab.hosts.map((host) => start(host, '+net_admin', flags));
    for (const agent of agents) await agent.waitReady();
    const logs = (await Promise.all(agents.map((agent) => agent.log()))).join('');
    expect(logs).not.toMatch(/ (?:warn|error) /);
    if (backend === 'alloc') return;
    const from = await lab.host(1).addContainer();
    const to = await lab.host(2).addContainer();
    await waitFor('packets flow', PATH_MS, async () => (await ping(from.namespace, to.address)).received > 0);
  });
});

describe.skipIf(need.missing)(title('an agent with too few rights', need), () => {
  /** The lines of an agent that ends with exit code 5. */
  async function endOf(capabilities: string, backend: string, change: (host: Host) => Promise<unknown>) {
    await using lab = await openLab({ hosts: 1 });
    const flags = await openStore(lab, backend);
    await prepare(lab.host(1), false);
    await change(lab.host(1));
    const agent = start(lab.host(1), capabilities, flags);
    expect(await agent.process.waitForExit(END_MS)).toMatchObject({ code: 5 });
    return (await agent.log()).trim().split('\n');
  }

  it('says that CAP_NET_ADMIN is missing', async () => {
    expect(await endOf('', 'vxlan', async () => undefined)).toEqual([
      'twill: cannot change the network: no permission (CAP_NET_ADMIN is missing)',
      'hint: start `twill run` as root, or give its user that capability alone; in a container, add NET_ADMIN',
    ]);
  });

  it('says that it may not open the TUN device', async () => {
    const lines = await endOf('+net_admin', 'udp', async () => undefined);
    expect(lines.at(-1)).toMatch(/^twill: cannot move packets: .*\/dev\/net\/tun.*EACCES/);
  });

  it('says that it may not write subnet.env', async () => {
    const lines = await endOf('+net_admin', 'vxlan', ({ namespace }) =>
      namespace.run(['chown', 'root', '/run/flannel']),
    );
    expect(lines).toEqual(['twill: cannot write /run/flannel/subnet.env: permission denied (EACCES)']);
  });

  it('says that it may not turn forwarding on, and goes on', async () => {
    await using lab = await openLab({ hosts: 1 });
    const flags = await openStore(lab, 'vxlan');
    const host = lab.host(1);
    await prepare(host, true);
    await host.namespace.run(['sysctl', '-qw', 'net.ipv4.ip_forward=0']);
    await host.namespace.run(['mount', '--bind', '/proc/sys', '/proc/sys']);
    await host.namespace.run(['mount', '-o', 'remount,bind,ro', '/proc/sys']);
    const agent = start(host, '+net_admin', flags);
    expect(await agent.waitForLine(/ error /)).toContain(
      'ip_forward is 0, so this host forwards no packet of a container ' +
        '(cannot write /proc/sys/net/ipv4/ip_forward: it is mounted read-only)',
    );
    await host.waitForSubnetEnv();
    expect(agent.process.isRunning).toBe(true);
  });
});
