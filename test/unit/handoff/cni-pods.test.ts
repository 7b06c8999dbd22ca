// The list for the pods of a node in Kubernetes: its text, beside kube-flannel's, and when it is there.
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readFolderWarnings } from '../../../agent/handoff/cni-folder.ts';
import { cniPodsForm } from '../../../agent/handoff/cni-pods.ts';
import { removeForm } from '../../../agent/handoff/form.ts';
import { engineForms, handOffFiles, retractAfterBoot } from '../../../agent/handoff/hand-off-files.ts';
import type { HandOff, SubnetEnv } from '../../../agent/model/hand-off.ts';
import { prefix } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';

const env: SubnetEnv = {
  network: prefix('10.244.0.0/16'),
  subnet: prefix('10.244.1.0/24'),
  mtuBytes: 1450,
  ipMasq: true,
};
const OTHER = { ...env, subnet: prefix('10.244.2.0/24') };
const NAME = '10-flannel.conflist';
/** kube-flannel's file. */
const FLANNELS = `{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    { "type": "flannel", "delegate": { "hairpinMode": true, "isDefaultGateway": true } },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
`;

describe('the list for pods', () => {
  const form = cniPodsForm(`/etc/cni/net.d/${NAME}`);
  const text = form.format(env, undefined);

  it("the list for pods is what flannel's plugin would ask of CNI's own plugins", () => {
    expect(JSON.parse(text)).toEqual({
      cniVersion: '0.3.1',
      name: 'cbr0',
      plugins: [
        {
          type: 'bridge',
          bridge: 'cni0',
          isGateway: true,
          isDefaultGateway: true,
          forceAddress: true,
          hairpinMode: true,
          ipMasq: false,
          mtu: 1450,
          ipam: {
            type: 'host-local',
            ranges: [[{ subnet: '10.244.1.0/24' }]],
            routes: [{ dst: '10.244.0.0/16' }],
          },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
  });

  it('the list for pods masquerades where the agent does not', () => {
    expect(JSON.parse(form.format({ ...env, ipMasq: false }, undefined)).plugins[0].ipMasq).toBe(true);
  });

  it.each([
    ['ours', text, [true, false]],
    ['ours of another version', text.replace('0.3.1', '1.0.0').replace('"ranges"', '"range"'), [true, false]],
    ["kube-flannel's", FLANNELS, [false, true]],
    ["kube-flannel's under another name", FLANNELS.replace('cbr0', 'pods'), [false, false]],
    ['of the same name', text.replace('cni0', 'br0'), [false, false]],
    ['on the same bridge', text.replace('cbr0', 'pods'), [false, false]],
    ['of another type', text.replace('"bridge"', '"ptp"'), [false, false]],
    ['no JSON', 'cbr0', [false, false]],
  ])('a list that is %s is ours, or replaced: %#', (_, other, expected) => {
    expect([form.isOurs?.(other), form.replaces?.(other)]).toEqual(expected);
  });

  it.each([
    [text, '10.244.1.0/24'],
    [text.replace('10.244.1.0/24', 'x'), undefined],
    [text.replace('"ranges"', '"range"'), undefined],
    [FLANNELS, undefined],
    ['', undefined],
  ])('the subnet of a list is read from it: %#', (other, subnet) => {
    expect(form.subnetOf?.(other)).toEqual(subnet === undefined ? undefined : prefix(subnet));
  });
});

describe('the list for pods on a host', () => {
  let folder = '';
  let handOff: HandOff;
  let lines: string[] = [];
  const at = (name: string): string => join(folder, name);
  const read = (): Promise<string | undefined> => readFile(at(NAME), 'utf8').catch(() => undefined);
  const bridge = async () => JSON.parse((await read()) ?? '').plugins[0];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-cni-pods-'));
    const files = { dockerOpts: undefined, cniConf: undefined, cniPods: at(NAME), podmanNetwork: undefined };
    const { log, lines: captured } = captureLog('twill');
    lines = captured;
    const forms = await engineForms(files, { wallMs: () => 0 });
    handOff = handOffFiles({ subnetFile: at('subnet.env'), forms, log });
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("the list takes the place of kube-flannel's, and cleanup leaves kube-flannel's alone", async () => {
    const form = cniPodsForm(at(NAME));
    await writeFile(at(NAME), FLANNELS);
    expect(await removeForm(form)).toBe('kept');
    await handOff.write(env);
    expect(await bridge()).toMatchObject({ type: 'bridge', mtu: 1450 });
    expect(await readdir(folder)).toEqual([NAME, 'subnet.env']);
    expect(await removeForm(form)).toBe('removed');
  });

  it('the list is refused the place of any other file, and subnet.env waits', async () => {
    await writeFile(at(NAME), '{"name":"mine","plugins":[]}');
    await expect(handOff.write(env)).rejects.toThrow(
      `cannot write ${at(NAME)}: another program or user wrote that file; move it away`,
    );
    await handOff.retract(undefined);
    expect(await readdir(folder)).toEqual([NAME]);
  });

  it('the list goes when it leads to another subnet, and stays untouched with ours', async () => {
    await handOff.write(env);
    const before = await read();
    lines.length = 0;
    await handOff.retract(env.subnet);
    expect([await read(), lines]).toEqual([before, []]);
    await handOff.retract(OTHER.subnet);
    expect([await read(), lines]).toEqual([
      undefined,
      [`info  twill: removed ${at(NAME)}: nothing of ours stands for it yet`],
    ]);
    await handOff.retract(undefined);
    await handOff.write(OTHER);
    expect(await bridge()).toMatchObject({ ipam: { ranges: [[{ subnet: '10.244.2.0/24' }]] } });
  });

  it("the list goes at the first start of a boot alone, and kube-flannel's never does", async () => {
    await handOff.write(env);
    await retractAfterBoot(handOff, at('subnet.env'));
    expect(await read()).toBeDefined();
    await rm(at('subnet.env'));
    await retractAfterBoot(handOff, at('subnet.env'));
    expect(await read()).toBeUndefined();
    await writeFile(at(NAME), FLANNELS);
    await retractAfterBoot(handOff, at('subnet.env'));
    expect(await read()).toBe(FLANNELS);
  });

  it('no file of an engine goes that does not wait for it', async () => {
    const files = { dockerOpts: at('docker'), cniConf: at('a.conflist'), podmanNetwork: at('p.json') };
    const forms = await engineForms({ ...files, cniPods: undefined }, { wallMs: () => 0 });
    const others = handOffFiles({ subnetFile: at('subnet.env'), forms, log: captureLog('twill').log });
    await others.write(env);
    await others.retract(undefined);
    expect(await readdir(folder)).toEqual(['a.conflist', 'docker', 'p.json', 'subnet.env']);
  });

  const warnings = (...folders: string[]): Promise<readonly string[]> =>
    readFolderWarnings(at(NAME), 'cbr0', ['bridge', 'portmap'], folders.map(at));
  const writePlugins = async (...names: string[]): Promise<void> => {
    await mkdir(at('bin'));
    for (const name of names) await writeFile(join(at('bin'), name), '');
  };

  it('a plugin that is in no folder is named, and a link to one of the host counts', async () => {
    await writePlugins();
    await symlink('/not/in/this/container', join(at('bin'), 'bridge'));
    expect(await warnings('bin', 'lib')).toEqual([
      `no CNI plugin portmap in ${at('bin')}, ${at('lib')}: pods cannot start unless the container runtime has it ` +
        'in another folder',
    ]);
    await writeFile(join(at('bin'), 'portmap'), '');
    expect(await warnings('bin', 'lib')).toEqual([]);
  });

  it('a file that a container runtime takes before ours is named, and a second list of our network', async () => {
    await writePlugins('bridge', 'portmap');
    await handOff.write(env);
    for (const name of ['.a.conf', '00-a.txt', '10-calico.conflist', '10-flannel.conf', '20-b.json', '30-c'])
      await writeFile(at(name), '{');
    await writeFile(at('11-flannel.conflist'), FLANNELS);
    const before = (name: string): string =>
      `${at(name)} sorts before ${NAME}: the container runtime takes it, and pods get our network only if it hands ` +
      'them on; remove it, or give our list an earlier name';
    expect(await warnings('bin')).toEqual([
      before('.a.conf'),
      before('10-calico.conflist'),
      before('10-flannel.conf'),
      `${at('11-flannel.conflist')} is the network cbr0, too: remove it, one list is enough`,
    ]);
  });

  it("plugins that kube-flannel's list had further are named, and none of a list that stays", async () => {
    await writePlugins('bridge', 'portmap');
    await writeFile(at(NAME), FLANNELS.replace('"portmap"', '"bandwidth"'));
    expect(await warnings('bin')).toEqual([
      `${at(NAME)}: its plugins bandwidth are left out: our list has none of them`,
    ]);
    await writeFile(at(NAME), FLANNELS.replace('"portmap"', '"bandwidth"').replace('cbr0', 'mine'));
    expect(await warnings('bin')).toEqual([]);
  });
});
