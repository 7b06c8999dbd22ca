// The list for pods of an agent on a node of a real API server: when it is there, and CNI's own plugins and flannel's
// with it. All run in the private network namespace of the suite, and in a mount namespace with an empty /run and
// /var/lib.
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PLUGIN_FOLDERS } from '../../agent/handoff/cni-folder.ts';
import { readCniPlugins } from '../lab/engines/cni-plugins.ts';
import { addByCni, type CniPod, type CniRuntime, deleteByCni } from '../lab/engines/cni-runtime.ts';
import { type ApiServer, startApiServer, TOKENS } from '../lab/kubernetes/api-server.ts';
import { run } from '../lab/namespace.ts';
import { TWILL } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';
import { grant, LEAST_RIGHTS, NEEDS_API_SERVER, newNode } from './bed.ts';
import { FLANNELS_LIST } from './kube-flannel.ts';

const PLUGINS = await readCniPlugins();
const NEEDS = allOf(NEEDS_PRIVATE_NETNS, NEEDS_API_SERVER, {
  missing: PLUGINS.missing !== undefined,
  reason: PLUGINS.missing ?? '',
});
const PORT = 8_480;
const HEALS_MS = 30_000;
const LIST = '/run/cni/net.d/10-flannel.conflist';
const SUBNET_ENV = '/run/flannel/subnet.env';
const RESERVED = '/var/lib/cni/networks/cbr0';

describe.skipIf(NEEDS.missing)(title('the list for pods of a node of Kubernetes', NEEDS), () => {
  let server: ApiServer;
  let mounts: LabProcess;
  let flags: readonly string[];
  let agent: LabProcess | undefined;
  let runtime: CniRuntime;
  const holders: LabProcess[] = [];
  const file = (name: string): string => join(server.folder, name);
  const within = (argv: readonly string[]): readonly [string, ...string[]] => [
    'nsenter',
    `--target=${mounts.pid}`,
    '--mount',
    '--',
    ...argv,
  ];
  const path = (inside: string): string => `/proc/${mounts.pid}/root${inside}`;
  const twill = (...args: readonly string[]): Promise<string> =>
    run(within(['env', 'NODE_NAME=n1', ...TWILL, ...args]));
  const start = (): void => {
    agent = new LabProcess(within([...TWILL, 'run', ...flags]), file('agent.log'), { NODE_NAME: 'n1' });
  };
  const until = (text: string): Promise<unknown> =>
    waitFor(
      `/readyz says ${text}`,
      HEALS_MS,
      async () => {
        const answer = await fetch(`http://127.0.0.1:${PORT}/readyz`).catch(() => undefined);
        return (await answer?.text())?.includes(text);
      },
      20,
    );
  const list = (): Promise<string | undefined> => readFile(path(LIST), 'utf8').catch(() => undefined);
  const ranges = async (): Promise<unknown> =>
    JSON.parse((await list()) ?? '{}').plugins?.[0].ipam?.ranges[0][0].subnet;
  const reserved = async (): Promise<readonly string[]> =>
    (await readdir(path(RESERVED))).filter((name) => /^[\d.]+$/.test(name)).sort();
  const assign = (podCidr: string): Promise<unknown> =>
    server.admin('POST', '/api/v1/nodes', newNode('n1', podCidr));

  /** A namespace for a pod. */
  const openPod = async (id: string): Promise<CniPod> => {
    const holder = new LabProcess(['unshare', '--net', 'sleep', 'infinity'], file(`${id}.log`));
    holders.push(holder);
    await waitFor(`${id} has its namespace`, HEALS_MS, async () => {
      const comm = await readFile(`/proc/${holder.pid}/comm`, 'utf8').catch(() => '');
      return comm.trim() === 'sleep';
    });
    return { id, netns: `/proc/${holder.pid}/ns/net` };
  };
  /** Makes pods by the list that is there now, and gives their addresses. */
  const add = async (...pods: readonly CniPod[]): Promise<readonly string[]> => {
    const text = (await list()) ?? '';
    const addresses: string[] = [];
    for (const pod of pods) addresses.push(await addByCni(runtime, text, pod));
    return addresses;
  };
  const remove = async (...pods: readonly CniPod[]): Promise<void> => {
    for (const pod of pods) await deleteByCni(runtime, (await list()) ?? '', pod);
  };
  const inPod = ({ netns }: CniPod, ...argv: readonly string[]): Promise<string> =>
    run(['nsenter', `--net=${netns}`, ...argv]);

  beforeAll(async () => {
    server = await startApiServer();
    await run(['ip', 'link', 'add', 'cni-up', 'type', 'veth', 'peer', 'name', 'cni-up-end']);
    await run(['ip', 'link', 'set', 'cni-up-end', 'up']);
    await run(['ip', 'address', 'add', '192.168.79.1/24', 'dev', 'cni-up']);
    await run(['ip', 'link', 'set', 'cni-up', 'up']);
    // The machine's own plugins, if it has some, are hidden from the agent.
    const folders = ['/run', '/var/lib', ...PLUGIN_FOLDERS];
    const empty = folders.map(
      (folder) => `test ! -d ${folder} || mount -t tmpfs -o mode=755 tmpfs ${folder}`,
    );
    mounts = new LabProcess(
      [
        'unshare',
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-ec',
        `${empty.join('\n')}\nexec sleep infinity`,
      ],
      file('mounts.log'),
    );
    await waitFor('the mounts stand', HEALS_MS, async () => {
      const comm = await readFile(`/proc/${mounts.pid}/comm`, 'utf8').catch(() => '');
      return comm.trim() === 'sleep';
    });
    runtime = {
      run: (argv, options) => run(within(argv), options),
      env: ['env'],
      programOf: (type) => join(type === 'flannel' ? PLUGINS.flannelFolder : PLUGINS.folder, type),
      folders: [PLUGINS.folder, PLUGINS.flannelFolder],
    };
    await writeFile(
      file('net-conf.json'),
      JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan', VNI: 79 } }),
    );
    const kubeconfig = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: server.url, 'certificate-authority': server.caFile } }],
      users: [{ name: 'u', user: { token: TOKENS.agent } }],
    };
    await writeFile(file('kubeconfig'), JSON.stringify(kubeconfig));
    flags = [
      '--kube-subnet-mgr',
      `--kubeconfig-file=${file('kubeconfig')}`,
      `--net-config-path=${file('net-conf.json')}`,
      `--cni-conf-file=${LIST}`,
      '--ip-masq',
      '--iface=cni-up',
      `--healthz-port=${PORT}`,
    ];
    await grant(server, LEAST_RIGHTS);
    await mkdir(path('/run/cni/net.d'), { recursive: true });
  });
  afterAll(async () => {
    await agent?.stop();
    for (const holder of holders) await holder.stop('SIGKILL');
    await twill('cleanup', ...flags);
    await run(['ip', 'link', 'delete', 'cni0']).catch(() => undefined);
    await run(['ip', 'link', 'delete', 'cni-up']);
    await mounts.stop('SIGKILL');
    await server[Symbol.asyncDispose]();
  });

  it('a list of ours from before a boot goes before the API has said anything', async () => {
    await assign('10.244.1.0/24');
    start();
    await until('ready');
    const before = await list();
    await agent?.stop('SIGKILL');
    expect(await list()).toBe(before);
    await rm(path(SUBNET_ENV));
    await server.stop();
    start();
    await until('connection refused');
    expect(await list()).toBeUndefined();
    await server.start();
    await until('ready');
    expect(await list()).toBe(before);
  });

  it('a restart leaves the list untouched', async () => {
    const before = await stat(path(LIST));
    await agent?.stop();
    start();
    await until('ready');
    const { ino, mtimeMs } = await stat(path(LIST));
    expect([ino, mtimeMs]).toEqual([before.ino, before.mtimeMs]);
  });

  it('pods of the list reach each other and their gateway, with the MTU of the overlay', async () => {
    const [a, b] = [await openPod('a'), await openPod('b')];
    const [from, to] = await add(a, b);
    expect([from, to]).toEqual(['10.244.1.2', '10.244.1.3']);
    await inPod(a, 'ping', '-c1', '-W2', to ?? '');
    await inPod(b, 'ping', '-c1', '-W2', '10.244.1.1');
    expect(await inPod(a, 'ip', 'link', 'show', 'eth0')).toContain(' mtu 1450 ');
    expect(await inPod(a, 'ip', 'route')).toContain('10.244.0.0/16 via 10.244.1.1 dev eth0');
    await remove(a, b);
    expect(await reserved()).toEqual([]);
  });

  it('pods outlive a move from kube-flannel and back: no address is given twice, and none leaks', async () => {
    // kube-flannel had this node: the files are there, and its pod.
    await writeFile(path(LIST), FLANNELS_LIST);
    const pods = await Promise.all(['p1', 'p2', 'p3', 'p4', 'p5', 'p6'].map(openPod));
    const [p1, p2, p3, p4, p5, p6] = pods as [CniPod, CniPod, CniPod, CniPod, CniPod, CniPod];
    const addresses = [...(await add(p1, p2))];
    await agent?.stop();
    start();
    await waitFor('the list is ours', HEALS_MS, ranges);
    addresses.push(...(await add(p3, p4, p5)));
    await remove(p1, p3);
    // Back: the command of the recipe, and then kube-flannel's own file over ours.
    await agent?.stop();
    const said = await twill('hand-back');
    expect(said).toContain(`+ file /var/lib/cni/flannel/p4 for the pod with ${addresses[3]}\n`);
    expect(said).toContain('kube-flannel can delete the 3 pods of this node: 1 were ready for it\n');
    await writeFile(path(LIST), FLANNELS_LIST);
    addresses.push(...(await add(p6)));
    expect(new Set(addresses).size).toBe(6);
    for (const address of [addresses[1], addresses[4], addresses[5]])
      await inPod(p4, 'ping', '-c1', '-W2', address ?? '');
    expect(await reserved()).toHaveLength(4);
    await remove(p2, p4, p5, p6);
    expect(await reserved()).toEqual([]);
    // Deleted by our list, which knows nothing of flannel's file.
    expect(await readdir(path('/var/lib/cni/flannel'))).toEqual(['p1']);
    start();
    await waitFor('the list is ours', HEALS_MS, ranges);
  });

  it('the list goes with the podCIDR, and is never half there', async () => {
    const seen = new Set<unknown>();
    const watching = new AbortController();
    const watch = (async () => {
      while (!watching.signal.aborted) seen.add(await ranges());
    })();
    await server.admin('DELETE', '/api/v1/nodes/n1');
    await until('Node n1 does not exist');
    expect(await ranges()).toBe('10.244.1.0/24');
    await assign('10.244.9.0/24');
    await waitFor('the next list', HEALS_MS, async () => (await ranges()) === '10.244.9.0/24');
    watching.abort();
    await watch;
    expect([...seen]).toEqual(['10.244.1.0/24', undefined, '10.244.9.0/24']);
    await until('ready');
    // The bridge changes its address, too.
    const pod = await openPod('late');
    expect(await add(pod)).toEqual(['10.244.9.2']);
    await inPod(pod, 'ping', '-c1', '-W2', '10.244.9.1');
    await remove(pod);
  });

  it('says which plugins are missing, which file comes first, and whose file is in the way', async () => {
    await agent?.stop();
    await writeFile(path('/run/cni/net.d/10-calico.conflist'), '{}');
    await writeFile(path(LIST), '{"name":"mine"}');
    start();
    await until(`cannot write ${LIST}: another program or user wrote that file; move it away`);
    const log = (await agent?.log()) ?? '';
    expect(log).toContain(
      `no CNI plugin bridge, host-local, loopback, portmap in ${PLUGIN_FOLDERS.join(', ')}: `,
    );
    expect(log).toContain('/run/cni/net.d/10-calico.conflist sorts before 10-flannel.conflist');
    await rm(path('/run/cni/net.d/10-calico.conflist'));
    await rm(path(LIST));
    await until('ready');
  });

  it('cleanup takes the list away', async () => {
    await agent?.stop();
    expect(await twill('cleanup', ...flags)).toContain(`- file ${LIST}\n`);
    expect(await list()).toBeUndefined();
  });
});
