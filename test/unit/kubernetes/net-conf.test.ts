import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNetConf } from '../../../agent/kubernetes/net-conf.ts';
import { readNetwork } from '../../../backends/index.ts';

describe('the network configuration of a node of Kubernetes', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tw-net-conf-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const read = async (text: string) => {
    const path = join(folder, 'net-conf.json');
    await writeFile(path, text);
    const conf = await readNetConf(path);
    expect(await conf.read()).toBe(conf.text);
    return readNetwork(conf.text, conf.where, []);
  };

  it('has no subnets to claim: the fields that name them have no effect, in any case', async () => {
    const { config } = await read(
      '{"network":"10.244.0.0/16","SubnetLen":99,"subnetmin":"1.2.3.4","SubnetMax":"x","Backend":{"Type":"vxlan"}}',
    );
    expect(config).toMatchObject({ network: { address: '10.244.0.0', length: 16 }, subnetLength: 24 });
  });

  it.each(['{"Network":"10.244.0.0/16"}', '{"Network":"10.244.0.0/16","Backend":null}'])(
    'means udp without a backend, as in flannel: %s',
    async (text) => {
      const { backend, why } = await read(text);
      expect([backend.type, why]).toEqual(['udp', undefined]);
    },
  );

  it('keeps the options of its backend', async () => {
    const { backend } = await read('{"Network":"10.244.0.0/16","backend":{"Type":"vxlan","VNI":7}}');
    expect(backend.tunnel?.device).toEqual({ name: 'flannel.7', vni: 7 });
  });

  it.each([
    ['{"Network":', /net-conf\.json: not valid JSON/],
    ['[]', /net-conf\.json: must be a JSON object/],
    ['{"Network":"10.244.0.0"}', /net-conf\.json: Network: must be an IPv4 prefix such as/],
    ['{"Network":"10.244.0.0/16","EnableIPv6":true}', /net-conf\.json: EnableIPv6: must be false/],
    [`{"Network":"${'x'.repeat(70_000)}"}`, /net-conf\.json: longer than 65536 bytes/],
  ])('is refused in one line: %.30s', async (text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringMatching(message),
    });
  });

  it('must be there', async () => {
    await expect(readNetConf(join(folder, 'none.json'))).rejects.toMatchObject({
      code: 'config',
      message: expect.stringMatching(/^cannot read the network configuration .*none\.json: no such file/),
      hint: 'mount the ConfigMap with net-conf.json there, or name the file with --net-config-path',
    });
  });
});
