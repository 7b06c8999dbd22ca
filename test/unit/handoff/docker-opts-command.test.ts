// `twill docker-opts` beside flannel's mk-docker-opts.sh: its options and its outputs.
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CommandContext } from '../../../agent/cli/context.ts';
import { dockerOptsCommand, parseDockerOptsOptions } from '../../../agent/cli/docker-opts.ts';

const DEFAULTS = {
  subnetFile: '/run/flannel/subnet.env',
  optionsFile: '/run/docker_opts.env',
  individual: true,
  combined: true,
  key: 'DOCKER_OPTS',
  ipMasq: true,
};

describe('the options of docker-opts', () => {
  it.each([
    [[], {}],
    [['-i'], { combined: false }],
    [['-c'], { individual: false }],
    [['-i', '-c'], {}],
    [['-ic'], {}],
    [['-m'], { ipMasq: false }],
    [['-cm', '-k', 'KEY'], { individual: false, ipMasq: false, key: 'KEY' }],
    [['-cmkKEY'], { individual: false, ipMasq: false, key: 'KEY' }],
    [['-f', '/a', '-d/b'], { subnetFile: '/a', optionsFile: '/b' }],
    [['-f', '-d'], { subnetFile: '-d' }],
    [['-k', 'A', '-k', 'B'], { key: 'B' }],
  ])('the options %j are read as the script reads them', (args, expected) => {
    expect(parseDockerOptsOptions(args)).toEqual({ ...DEFAULTS, ...expected });
  });

  it.each([
    [['-x'], 'unknown option "-x"'],
    [['-ix'], 'unknown option "-x"'],
    [['-k'], '-k: needs a value'],
    [['-f', ''], '-f: needs a value'],
    [['-k', 'A-B'], '-k: must be the name of a variable: letters, digits and _, is "A-B"'],
    [['-k', 'A=1;reboot'], '-k: must be the name of a variable: letters, digits and _, is "A=1;reboot"'],
    [['/a'], 'unexpected argument "/a"'],
    [['--subnet-file=/a'], 'unexpected argument "--subnet-file=/a"'],
    [['-'], 'unexpected argument "-"'],
  ])('the options %j are refused', (args, message) => {
    expect(() => parseDockerOptsOptions(args)).toThrow(expect.objectContaining({ code: 'usage', message }));
  });
});

describe('docker-opts', () => {
  let folder = '';
  let printed = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-docker-opts-'));
    printed = '';
  });
  afterEach(() => rm(folder, { recursive: true }));

  const SAMPLE = `FLANNEL_NETWORK=10.1.0.0/16
FLANNEL_SUBNET=10.1.74.1/24
FLANNEL_MTU=1472
FLANNEL_IPMASQ=false
`;
  const at = (name: string): string => join(folder, name);
  const context = (environment: Readonly<Record<string, string>> = {}): CommandContext => ({
    signal: new AbortController().signal,
    environment,
    readVersion: () => '1.2.3',
    print: async (text) => {
      printed += text;
    },
    openInput: async function* () {},
  });

  /** The options file that a run with these arguments writes. */
  async function run(
    args: readonly string[],
    text = SAMPLE,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    await writeFile(at('subnet.env'), text);
    const files = ['-f', at('subnet.env'), '-d', at('opts')];
    await dockerOptsCommand([...files, ...args], context(environment), at('daemon.json'));
    return readFile(at('opts'), 'utf8');
  }

  const BIP = 'DOCKER_OPT_BIP="--bip=10.1.74.1/24"';
  const IPMASQ = 'DOCKER_OPT_IPMASQ="--ip-masq=true"';
  const MTU = 'DOCKER_OPT_MTU="--mtu=1472"';
  const ALL = '" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"';

  // The five cases of flannel's own test.
  it.each([
    [[], [BIP, IPMASQ, MTU, `DOCKER_OPTS=${ALL}`]],
    [['-i'], [BIP, IPMASQ, MTU]],
    [['-c'], [`DOCKER_OPTS=${ALL}`]],
    [
      ['-k', 'CUSTOM_KEY'],
      [BIP, IPMASQ, MTU, `CUSTOM_KEY=${ALL}`],
    ],
    [['-m'], [BIP, MTU, 'DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"']],
  ])('docker-opts %j writes what mk-docker-opts.sh writes', async (args, lines) => {
    expect(await run(args)).toBe(lines.map((line) => `${line}\n`).join(''));
    expect(printed).toBe(`wrote ${at('opts')}\n`);
  });

  it('docker-opts tells Docker not to masquerade where the agent does', async () => {
    const text = await run(['-c'], SAMPLE.replace('MASQ=false', 'MASQ=true'));
    expect(text).toContain(' --ip-masq=false ');
  });

  it('docker-opts leaves out what the subnet file does not say', async () => {
    expect(await run([], 'FLANNEL_SUBNET=10.1.74.1/24\n')).toBe(
      `${BIP}\nDOCKER_OPTS=" --bip=10.1.74.1/24"\n`,
    );
  });

  it('docker-opts appends to the value that the variable has in the environment', async () => {
    expect(await run(['-c'], SAMPLE, { DOCKER_OPTS: '-D' })).toBe(
      'DOCKER_OPTS="-D  --bip=10.1.74.1/24 --ip-masq=true --mtu=1472"\n',
    );
    expect(await run(['-ck', 'OTHER'], SAMPLE, { DOCKER_OPTS: '-D' })).toBe(`OTHER=${ALL}\n`);
  });

  const SUBNET_RULE = 'FLANNEL_SUBNET must be an IPv4 subnet such as 10.5.34.1/24, is ';
  it.each([
    ['', `${SUBNET_RULE}missing`],
    ['DOCKER_OPT_BIP="--bip=10.1.74.1/24"\n', `${SUBNET_RULE}missing`],
    ['FLANNEL_SUBNET=10.1.74.1\n', `${SUBNET_RULE}"10.1.74.1"`],
    ['FLANNEL_SUBNET=fd00::1/64\n', `${SUBNET_RULE}"fd00::1/64"`],
    ['FLANNEL_SUBNET=$(id)\n', `${SUBNET_RULE}missing`],
    ["FLANNEL_SUBNET='10.1.74.1/24 --tls=false'\n", `${SUBNET_RULE}"10.1.74.1/24 --tls=false"`],
    [
      SAMPLE.replace('1472', "'1472 --tls=false'"),
      'FLANNEL_MTU must be a number of bytes, is "1472 --tls=false"',
    ],
    [SAMPLE.replace('1472', '-1'), 'FLANNEL_MTU must be a number of bytes, is "-1"'],
    [SAMPLE.replace('false', 'maybe'), 'FLANNEL_IPMASQ must be true or false, is "maybe"'],
  ])('docker-opts refuses the subnet file %j, and writes nothing', async (text, why) => {
    await expect(run([], text)).rejects.toMatchObject({
      code: 'host',
      message: `${at('subnet.env')}: ${why}`,
    });
    expect(await readdir(folder)).toEqual(['subnet.env']);
  });

  it('docker-opts takes no value that a shell would set for a command alone', async () => {
    const text = SAMPLE.replace('1472', '1472 --tls=false');
    expect(await run(['-c'], text)).toBe('DOCKER_OPTS=" --bip=10.1.74.1/24 --ip-masq=true"\n');
  });

  it('docker-opts does not need FLANNEL_IPMASQ with -m', async () => {
    expect(await run(['-cm'], SAMPLE.replace('false', 'maybe'))).toBe(
      'DOCKER_OPTS=" --bip=10.1.74.1/24 --mtu=1472"\n',
    );
  });

  it('docker-opts names a subnet file that is not there', async () => {
    const args = ['-f', at('none'), '-d', at('opts')];
    await expect(dockerOptsCommand(args, context(), at('daemon.json'))).rejects.toMatchObject({
      code: 'host',
      message: expect.stringMatching(`^cannot read ${at('none')}: `),
    });
  });

  it("docker-opts never writes over this node's subnet, by any name", async () => {
    await mkdir(at('run'));
    await writeFile(at('run/subnet.env'), SAMPLE);
    await symlink('run', at('var'));
    for (const target of ['run/subnet.env', 'var/subnet.env', 'var/../run//subnet.env']) {
      const args = ['-f', at('run/subnet.env'), '-d', at(target)];
      await expect(dockerOptsCommand(args, context(), at('daemon.json'))).rejects.toMatchObject({
        code: 'usage',
        message: `-d: ${at(target)} holds this node's subnet, and must be another file`,
      });
    }
    const args = ['-f', at('run/subnet.env'), '-d', '/run/flannel/subnet.env'];
    await expect(dockerOptsCommand(args, context(), at('daemon.json'))).rejects.toMatchObject({
      code: 'usage',
    });
    expect(await readFile(at('run/subnet.env'), 'utf8')).toBe(SAMPLE);
  });

  it("docker-opts refuses what Docker's own file says too, and writes nothing", async () => {
    await writeFile(at('daemon.json'), '{"mtu": 1472, "iptables": false}');
    await expect(run([])).rejects.toMatchObject({
      code: 'host',
      message: `${at('daemon.json')}: dockerd does not start with the flags of our options file: "mtu" is set there, too`,
      hint: 'remove these settings from that file',
    });
    expect(await readdir(folder)).toEqual(['daemon.json', 'subnet.env']);
    await writeFile(at('daemon.json'), '{"iptables": false}');
    await run([]);
    expect(printed).toContain(`${at('daemon.json')}: "iptables" is false: `);
  });
});
