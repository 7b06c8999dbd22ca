// `twill docker network` and `twill podman network`: the part of the subnet, and the command that makes a network.
import { describe, expect, it } from 'vitest';
import { bridgeName, DOCKER } from '../../agent/cli/docker.ts';
import { type Engine, parseWish, planNetwork, refuseOverlap } from '../../agent/cli/engine-network.ts';
import { PODMAN } from '../../agent/cli/podman.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import { prefix } from '../support/build.ts';

const SUBNET = prefix('10.5.34.0/24');

const wish = (...args: string[]): ReturnType<typeof parseWish> => parseWish(DOCKER, args, {});
const plan = (part: string, subnet = SUBNET): ReturnType<typeof planNetwork> =>
  planNetwork(wish('network', 'web', '--part', part), { subnet, mtuBytes: 1450, ipMasq: true });
const commandOf = (engine: Engine, ipMasq = true): string =>
  engine
    .create(planNetwork(wish('network', 'web', '--part=2/4'), { subnet: SUBNET, mtuBytes: 1450, ipMasq }))
    .join(' ');

describe('a part of the subnet', () => {
  it.each([
    ['1/1', '10.5.34.0/24', '10.5.34.1'],
    ['1/2', '10.5.34.0/25', '10.5.34.1'],
    ['2/2', '10.5.34.128/25', '10.5.34.129'],
    ['3/4', '10.5.34.128/26', '10.5.34.129'],
    ['32/32', '10.5.34.248/29', '10.5.34.249'],
  ])('the part %s has its own prefix and gateway', (text, part, gateway) => {
    const planned = plan(text);
    expect([formatPrefix(planned.part), planned.gateway]).toEqual([part, gateway]);
  });

  it.each([
    ['1/64', SUBNET, 'N is 32 at most, is 64'],
    ['1/9999999999', SUBNET, 'must be I/N'],
    ['1/1', prefix('10.5.34.0/30'), '10.5.34.0/30 must have 8 addresses at least, so N is 1 at most, is 1'],
    ['0/2', SUBNET, 'must be I/N, N a power of two and I from 1 to N, such as 2/4, is "0/2"'],
    ['3/2', SUBNET, 'is "3/2"'],
    ['1/3', SUBNET, 'is "1/3"'],
    ['1', SUBNET, 'is "1"'],
    ['1/2/4', SUBNET, 'is "1/2/4"'],
    ['-1/2', SUBNET, 'is "-1/2"'],
  ])('the part %s is refused', (text, subnet, message) => {
    expect(() => plan(text, subnet)).toThrow(message);
  });
});

describe('the arguments', () => {
  it('a name alone means the whole subnet, the usual file, and a line to print', () => {
    const usual = {
      name: 'web',
      place: 1,
      count: 1,
      isApplied: false,
      subnetFile: '/run/flannel/subnet.env',
    };
    expect(wish('network', 'web')).toEqual(usual);
    expect(parseWish(PODMAN, ['network', 'web'], { FLANNELD_SUBNET_FILE: '/x' }).subnetFile).toBe('/x');
    expect(wish('network', '--apply', '-subnet-file=/y', 'web')).toMatchObject({
      isApplied: true,
      subnetFile: '/y',
    });
  });

  it.each<[string[], string]>([
    [[], 'docker: needs network and a name'],
    [['netwrok'], 'docker: takes network, not "netwrok"'],
    [['network'], 'docker: needs the name of the network'],
    [['network', 'a', 'b'], 'docker: takes one name, but got also "b"'],
    [
      ['network', 'a b'],
      'must be 1 to 64 letters, digits, _ . or -, the first one a letter or a digit, is "a b"',
    ],
    [['network', '$(id)'], 'is "$(id)"'],
    [['network', '.a'], 'is ".a"'],
    [['network', 'a'.repeat(65)], 'must be 1 to 64'],
    [['network', ''], 'is ""'],
    [['network', 'host'], 'docker: "host" means something else there'],
    [['network', 'a', '--part'], '--part: needs a value'],
    [['network', 'a', '--apply=yes'], 'docker: takes --part, --apply and --subnet-file, not "--apply…"'],
    [['network', 'a', '--etcd-password=hunter2'], 'and --subnet-file, not "--etcd-password…"'],
  ])('the arguments %j are refused', (args, message) => {
    expect(() => wish(...args)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(message) }),
    );
  });
});

describe('the command', () => {
  it('Docker gets the part, the bridge and the MTU, and masquerades only where the agent does not', () => {
    const start =
      'network create -d bridge --subnet 10.5.34.64/26 --gateway 10.5.34.65 -o com.docker.network.bridge.name=twd-web -o com.docker.network.driver.mtu=1450 ';
    expect(commandOf(DOCKER)).toBe(`${start}-o com.docker.network.bridge.enable_ip_masquerade=false web`);
    expect(commandOf(DOCKER, false)).toBe(`${start}web`);
  });

  it('Podman gets the part and the MTU', () => {
    expect(commandOf(PODMAN)).toBe(
      'network create -d bridge --subnet 10.5.34.64/26 --gateway 10.5.34.65 -o mtu=1450 web',
    );
  });

  it('a bridge has a name that a link can have, and networks have different ones', () => {
    const names = ['web', 'a-long-name', 'another-long-name', 'another.name', 'another_name'].map(bridgeName);
    expect(names.slice(0, 2)).toEqual(['twd-web', 'twd-a-long-name']);
    expect(new Set(names).size).toBe(5);
    for (const name of names) expect(name).toMatch(/^[\w-]{1,15}$/);
  });
});

describe('addresses of the part that a link of this host has', () => {
  const check = (engine: Engine, part: string, ...links: [string, string][]): void =>
    refuseOverlap(
      engine,
      plan(part),
      SUBNET,
      links.map(([dev, of]) => ({ dev, prefix: prefix(of) })),
    );

  it('our own device is in the way of Podman alone', () => {
    expect(() => check(PODMAN, '1/2', ['flannel.1', '10.5.34.0/32'])).toThrow(
      expect.objectContaining({
        code: 'host',
        message: 'podman makes no network around an address of this host, and flannel.1 has 10.5.34.0',
        hint: expect.stringContaining('--part=2/2'),
      }),
    );
    expect(() => check(PODMAN, '2/2')).not.toThrow();
    expect(() => check(DOCKER, '1/2', ['flannel.1', '10.5.34.0/32'])).not.toThrow();
  });

  it.each([
    ['1/1', 'docker0', 'take a part that docker0 does not have, such as --part=2/2'],
    ['2/2', 'docker0', 'take another part, or start dockerd with --bip=10.5.34.1/25'],
    ['2/4', 'docker0', 'take another part, or start dockerd with --bip=10.5.34.129/25'],
    ['2/2', 'podman1', 'take another part'],
  ])('the part %s is refused where %s has it', (part, dev, hint) => {
    const message = `${dev} has 10.5.34.1/24, which overlaps ${formatPrefix(plan(part).part)}`;
    expect(() => check(DOCKER, part, ['flannel.1', '10.5.34.0/32'], [dev, '10.5.34.1/24'])).toThrow(
      expect.objectContaining({ code: 'host', message, hint }),
    );
  });
});
