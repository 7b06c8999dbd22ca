import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../../agent/base/schema.ts';
import { BACKEND_NAMES, createBackend, parseOptions, readNetwork } from '../../../backends/index.ts';
import { parseVxlanOptions } from '../../../backends/vxlan/options.ts';
import { lease, leaseAttrs } from '../../support/build.ts';

const WHERE = '/coreos.com/network/config';

const refused = (message: string) =>
  expect.objectContaining({ name: 'TwillError', code: 'config', message: `${WHERE}: ${message}` });

describe('a backend', () => {
  it.each(BACKEND_NAMES)('the backend %s has its own name, and ignores unknown options', async (type) => {
    const backend = await createBackend({ type, options: { Something: [1], __proto__: null } }, WHERE);
    expect(backend.type).toBe(type);
  });

  it.each(['', 'VXLAN', 'vxlan ', 'aws-vpc', '__proto__', 'constructor', 'toString'])(
    'a backend called %j is not known',
    async (type) => {
      const message = `Backend.Type: must be one of ${BACKEND_NAMES.join(', ')}, is ${JSON.stringify(type)}`;
      await expect(createBackend({ type, options: {} }, WHERE)).rejects.toThrow(refused(message));
      await expect(parseOptions({ type, options: {} }, WHERE)).rejects.toThrow(refused(message));
    },
  );
});

describe('the options of vxlan', () => {
  it('vxlan options have flannel’s defaults', () => {
    expect(parseVxlanOptions({}, WHERE)).toEqual({
      vni: 1,
      port: 8472,
      gbp: false,
      learning: false,
      directRouting: false,
      underlayMtuBytes: undefined,
    });
  });

  it('vxlan options are taken as given, their names in any case', () => {
    expect(
      parseVxlanOptions(
        { vni: 16_777_215, PORT: 65_535, Gbp: true, learning: true, directrouting: true, mtu: 626 },
        WHERE,
      ),
    ).toEqual({
      vni: 16_777_215,
      port: 65_535,
      gbp: true,
      learning: true,
      directRouting: true,
      underlayMtuBytes: 626,
    });
  });

  it('vxlan options take port 0 for the default, as flannel does', () => {
    expect(parseVxlanOptions({ Port: 0 }, WHERE).port).toBe(8472);
  });

  const VNI = 'Backend: VNI: must be a whole number from 0 to 16777215';
  const PORT = 'Backend: Port: must be a whole number from 0 to 65535';
  const MTU = 'Backend: MTU: must be a whole number from 626 to 65535';
  it.each<[Record<string, JsonValue>, string]>([
    [{ VNI: -1 }, `${VNI}, is -1`],
    [{ VNI: 16_777_216 }, `${VNI}, is 16777216`],
    [{ VNI: 1.5 }, `${VNI}, is 1.5`],
    [{ VNI: '1' }, `${VNI}, is "1"`],
    [{ Port: 65_536 }, `${PORT}, is 65536`],
    [{ Port: -1 }, `${PORT}, is -1`],
    [{ Port: '8472' }, `${PORT}, is "8472"`],
    [{ MTU: 625 }, `${MTU}, is 625`],
    [{ MTU: 65_536 }, `${MTU}, is 65536`],
    [{ mtu: true }, `${MTU}, is true`],
    [{ GBP: 1 }, 'Backend: GBP: must be true or false, is 1'],
    [{ Learning: 'yes' }, 'Backend: Learning: must be true or false, is "yes"'],
    [{ DirectRouting: [] }, 'Backend: DirectRouting: must be true or false, is []'],
  ])('%j are refused', async (options, message) => {
    await expect(createBackend({ type: 'vxlan', options }, WHERE)).rejects.toThrow(refused(message));
    await expect(parseOptions({ type: 'vxlan', options }, WHERE)).rejects.toThrow(refused(message));
  });

  it('vxlan options are checked without the backend', async () => {
    const options = { VNI: 7, Port: 4789 };
    expect(await parseOptions({ type: 'vxlan', options }, WHERE)).toEqual(parseVxlanOptions(options, WHERE));
  });
});

describe('a network configuration', () => {
  it('a network configuration is read with its backend', async () => {
    const { config, backend } = await readNetwork(
      '{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}',
      WHERE,
      [],
    );
    expect([config.network.address, backend.type]).toEqual(['10.5.0.0', 'host-gw']);
  });

  it.each([
    ['{', 'not valid JSON'],
    ['{"Network":"10.5.0.0/16","Backend":{"Type":"vxlan","VNI":-1}}', 'Backend: VNI: must be a whole number'],
  ])('a network configuration is refused: %s', async (text, message) => {
    await expect(readNetwork(text, WHERE, [])).rejects.toThrow(`${WHERE}: ${message}`);
  });

  // The backends of leases that flannel wrote, the backends of ours, and the backend that is taken.
  it.each<[string[], string[], string, string]>([
    [[], [], 'vxlan', 'no lease names one'],
    [['udp', 'udp'], [], 'udp', 'as the leases of other nodes'],
    [['vxlan'], [], 'vxlan', 'as the leases of other nodes'],
    [[], ['udp', 'udp'], 'udp', 'as the leases of other nodes'],
    [[], ['host-gw'], 'host-gw', 'as the leases of other nodes'],
    [['udp'], ['vxlan', 'vxlan'], 'udp', 'as the leases of other nodes'],
    [['vxlan', 'udp'], [], 'vxlan', 'the leases of other nodes have "udp, vxlan"'],
    [[], ['vxlan', 'udp'], 'vxlan', 'the leases of other nodes have "udp, vxlan"'],
    [['wireguard'], [], 'vxlan', 'the leases of other nodes have "wireguard"'],
    [['toString\n'], [], 'vxlan', 'the leases of other nodes have "toString\\n"'],
  ])(
    'a network configuration without a backend, beside leases of flannel (%j) and of ours (%j), means %s',
    async (theirs, ours, type, why) => {
      const node = { id: '00000000000000bb', mac: undefined, name: 'h2' };
      const leases = [
        ...theirs.map((backendType, i) =>
          lease(`10.5.${i + 1}.0/24`, leaseAttrs('192.168.77.2', { backendType })),
        ),
        ...ours.map((backendType, i) =>
          lease(`10.5.${i + 9}.0/24`, leaseAttrs('192.168.77.3', { backendType, node })),
        ),
        // No lease of this network.
        lease('10.6.1.0/24', leaseAttrs('192.168.77.4', { backendType: 'alloc' })),
      ];
      const network = await readNetwork('{"Network":"10.5.0.0/16"}', WHERE, leases);
      const { config, backend } = network;
      expect([backend.type, config.backend, network.why]).toEqual([type, { type, options: {} }, why]);
    },
  );

  it('a network configuration without a backend does not follow a reservation, which an operator wrote', async () => {
    const node = { id: '00000000000000bb', mac: undefined, name: 'h2' };
    const reservation = { session: undefined };
    const leases = [
      lease('10.5.1.0/24', leaseAttrs('192.168.77.2', { backendType: 'udp' }), reservation),
      lease('10.5.2.0/24', leaseAttrs('192.168.77.3', { backendType: 'host-gw', node }), reservation),
    ];
    expect((await readNetwork('{"Network":"10.5.0.0/16"}', WHERE, leases)).backend.type).toBe('host-gw');
  });

  it('a network configuration with a backend does not follow leases', async () => {
    const text = '{"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}}';
    const leases = [lease('10.5.1.0/24', leaseAttrs('192.168.77.2', { backendType: 'udp' }))];
    const { backend, why } = await readNetwork(text, WHERE, leases);
    expect([backend.type, why]).toEqual(['host-gw', undefined]);
  });
});
