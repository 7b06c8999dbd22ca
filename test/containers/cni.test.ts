// The conflist that the agent writes, read by Podman's CNI, and by the plugins alone as nerdctl and CRI-O call them.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { cniPodsForm, POD_NETWORK } from '../../agent/handoff/cni-pods.ts';
import { writeForm } from '../../agent/handoff/form.ts';
import { sourceSeen } from '../lab/datagram.ts';
import { addByCni } from '../lab/engines/cni-runtime.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { SERVE } from '../lab/engines/image.ts';
import { NETWORK_FILES } from '../lab/engines/podman.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { namespaceAt } from '../lab/namespace.ts';
import { prefix } from '../support/build.ts';
import { title } from '../support/needs.ts';
import { needsPodman, PODMAN_4, type PodmanHost, usePodmans } from './podman-bed.ts';

const NEED = needsPodman(PODMAN_4);
const CONF_FILE = `${NETWORK_FILES}/10-twill.conflist`;
const PORT = 8080;
const PID_FILE = '/tmp/plugged';
const ANSWER = `#!/bin/busybox sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' "$REMOTE_ADDR"
`;

describe.skipIf(NEED.missing)(title('a conflist of the agent', NEED), () => {
  const kind = { name: 'CNI', release: PODMAN_4, backend: 'cni' } as const;
  const flags = ['--ip-masq', `--cni-conf-file=${CONF_FILE}`];
  // The agent is ready when its files are written.
  const bed = usePodmans([kind, kind], { flags }, async () => undefined);
  const both = (): readonly [PodmanHost, PodmanHost] => bed().hosts as unknown as [PodmanHost, PodmanHost];

  it('containers of Podman see the own addresses of those of the other host', async () => {
    for (const [from, to] of bed().pairs)
      expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
  });

  it('a container of Podman has the address of its host outside of the overlay', async () => {
    const [{ host, web }] = both();
    expect(await sourceSeen(web.namespace, bed().cluster.lab.outside, OUTSIDE_ADDRESS)).toBe(host.address);
  });

  it('a container of Podman has the MTU of the overlay', async () => {
    const [{ host, web }] = both();
    const mtuBytes = (await host.subnetEnv())?.mtuBytes;
    expect(await web.namespace.run(['ip', 'link', 'show', 'eth0'])).toContain(` mtu ${mtuBytes} `);
  });

  it('a published port of Podman answers a peer, a neighbour and the container itself', async () => {
    const [own, peer] = both();
    const published = await own.podman.run('published', '--publish', `${PORT}:80`);
    const bridge = published.address.replace(/\.\d+$/, '.1');
    expect(await sourceSeenBy(own.host.address, peer.web.namespace, PORT)).toBe(peer.host.address);
    expect(await sourceSeenBy(bridge, peer.web.namespace, PORT)).toBe(peer.web.address);
    expect(await sourceSeenBy(own.host.address, own.web.namespace, PORT)).toBe(bridge);
    expect(await sourceSeenBy(own.host.address, published.namespace, PORT)).toBe(bridge);
  });

  it('a runtime with the library of CNI makes and deletes pods by the list for Kubernetes', async () => {
    const [{ host, podman }] = both();
    const env = {
      network: prefix('10.6.0.0/16'),
      subnet: prefix('10.6.1.0/24'),
      mtuBytes: 1400,
      ipMasq: true,
    };
    const form = cniPodsForm(host.path(`${NETWORK_FILES}/20-flannel.conflist`));
    await writeForm(form, env);
    const pod = await podman.run('pod', '--network', POD_NETWORK);
    expect(pod.address).toBe('10.6.1.2');
    expect(await pod.namespace.run(['ip', 'link', 'show', 'eth0'])).toContain(' mtu 1400 ');
    expect(await pod.namespace.run(['ip', 'route'])).toContain('10.6.0.0/16 via 10.6.1.1 dev eth0');
    const reserved = podman.root.path(`/var/lib/cni/networks/${POD_NETWORK}`);
    expect(await readdir(reserved)).toContain('10.6.1.2');
    await pod.remove();
    expect(await readdir(reserved)).not.toContain('10.6.1.2');
  });

  it('the plugins called one after the other make a container that a peer reaches, with its port', async () => {
    const [own, peer] = both();
    const { root } = own.podman;
    await root.run(['busybox', 'mkdir', '-p', '/www/cgi-bin']);
    await writeFile(root.path('/www/cgi-bin/source'), ANSWER, { mode: 0o755 });
    const daemon = ['start-stop-daemon', '-S', '-b', '-m', '-p', PID_FILE, '-x', '/bin/busybox', '--'];
    await root.run(['busybox', 'unshare', '--net', 'busybox', ...daemon, ...SERVE]);
    const pid = (await readFile(root.path(PID_FILE), 'utf8')).trim();
    const conflist = await readFile(own.host.path(CONF_FILE), 'utf8');
    const ports = [{ hostPort: PORT + 1, containerPort: 80, protocol: 'tcp' }];
    const runtime = {
      run: root.run.bind(root),
      env: ['busybox', 'env'],
      programOf: (type: string) => `/usr/lib/cni/${type}`,
      folders: ['/usr/lib/cni'],
    };
    const pod = { id: 'plugged', netns: `/proc/${pid}/ns/net` };
    const address = await addByCni(runtime, conflist, pod, ports);
    const namespace = namespaceAt('plugged', root.path(`/proc/${pid}/ns/net`));

    expect(await sourceSeenBy(address, peer.web.namespace)).toBe(peer.web.address);
    expect(await sourceSeenBy(peer.web.address, namespace)).toBe(address);
    expect(await sourceSeenBy(own.host.address, peer.web.namespace, PORT + 1)).toBe(peer.host.address);
  });
});
