// The files for CNI and Podman, as text.
import { describe, expect, it } from 'vitest';
import { cniConfForm } from '../../../agent/handoff/cni-conf.ts';
import { podmanNetworkForm } from '../../../agent/handoff/podman-network.ts';
import type { SubnetEnv } from '../../../agent/model/hand-off.ts';
import { prefix } from '../../support/build.ts';

const env: SubnetEnv = {
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.34.0/24'),
  mtuBytes: 1450,
  ipMasq: true,
};
const OTHER = { ...env, subnet: prefix('10.5.35.0/24') };

describe('the file for CNI', () => {
  const form = cniConfForm('/etc/cni/net.d/10-twill.conflist');

  it('the file for CNI is a bridge with our subnet, and published ports', () => {
    expect(JSON.parse(form.format(env, undefined))).toEqual({
      cniVersion: '0.4.0',
      name: 'twill',
      plugins: [
        {
          type: 'bridge',
          bridge: 'cni-twill0',
          isDefaultGateway: true,
          isGateway: true,
          ipMasq: false,
          hairpinMode: true,
          mtu: 1450,
          ipam: { type: 'host-local', ranges: [[{ subnet: '10.5.34.0/24', gateway: '10.5.34.1' }]] },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
  });

  it.each([
    ['ours', form.format(env, undefined), true],
    ['ours for another subnet', form.format({ ...OTHER, mtuBytes: 1400 }, undefined), true],
    ['ours of another version', form.format(env, undefined).replace('0.4.0', '2.0.0'), true],
    ["flannel's", '{"name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}', false],
    ['one of our name', '{"name":"twill","plugins":[{"type":"bridge","bridge":"br0"}]}', false],
    ['without plugins', '{"name":"twill","plugins":[]}', false],
    ['no JSON', 'twill', false],
  ])('the file for CNI that is %s is ours: %#', (_, text, expected) => {
    expect(form.isOurs?.(text)).toBe(expected);
  });
});

describe('the file for Podman', () => {
  let now = Date.UTC(2026, 10, 30, 18);
  const form = podmanNetworkForm('/etc/containers/networks/web.1.json', { wallMs: () => now });
  const first = form.format(env, undefined);
  const read = (text: string) => JSON.parse(text) as { readonly id: string; readonly created: string };

  it('the file for Podman is a bridge with our subnet and MTU, named after the file', () => {
    expect(JSON.parse(first)).toEqual({
      name: 'web.1',
      id: expect.stringMatching(/^[\da-f]{64}$/),
      driver: 'bridge',
      network_interface: 'twill0',
      created: '2026-11-30T18:00:00.000Z',
      subnets: [{ subnet: '10.5.34.0/24', gateway: '10.5.34.1' }],
      ipv6_enabled: false,
      internal: false,
      dns_enabled: false,
      labels: { 'managed-by': 'twill' },
      options: { mtu: '1450' },
      ipam_options: { driver: 'host-local' },
    });
  });

  it('the file for Podman stays the same with the same values, whenever it is written', () => {
    now += 3_600_000;
    expect(form.format(env, first)).toBe(first);
    // It was created once, and Podman shows when.
    expect(read(form.format(OTHER, first)).created).toBe(read(first).created);
    expect(read(form.format(env, undefined)).created).not.toBe(read(first).created);
    expect(read(form.format(env, '')).created).not.toBe(read(first).created);
  });

  it.each(['yesterday', 7, null])('the file for Podman takes no time %j over', (created) => {
    const text = JSON.stringify({ ...read(first), created });
    expect(read(form.format(env, text)).created).toBe(new Date(now).toISOString());
  });

  it('the file for Podman has one id for a name, a network and a subnet', () => {
    const other = podmanNetworkForm('/etc/containers/networks/web.json', { wallMs: () => now });
    const texts = [
      first,
      form.format(OTHER, undefined),
      form.format({ ...env, network: prefix('10.0.0.0/8') }, undefined),
      other.format(env, undefined),
    ];
    expect(new Set(texts.map((text) => read(text).id)).size).toBe(4);
    expect(read(form.format({ ...env, mtuBytes: 1400, ipMasq: false }, undefined)).id).toBe(read(first).id);
  });

  it.each([
    [first, true],
    [form.format(OTHER, undefined), true],
    [first.replace('managed-by', 'made-by'), false],
    [first.slice(1), false],
    ['{"name":"web.1","id":"x","driver":"bridge"}', false],
  ])('the file for Podman with %j is ours: %s', (text, expected) => {
    expect(form.isOurs?.(text)).toBe(expected);
  });
});
