import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { daemonWarnings, judgeDaemonFile, readDaemonVerdict } from '../../../agent/handoff/daemon-json.ts';
import { prefix } from '../../support/build.ts';

const FLAGS = { bip: prefix('10.5.34.1/24'), ipMasq: false, mtuBytes: 1450 };
const set = (name: string): string => `"${name}" is set there, too`;

describe("Docker's own configuration beside our flags", () => {
  it.each([
    ['', []],
    [' \n', []],
    ['{}', []],
    ['null', []],
    ['{"log-driver":"journald","mtu-x":1}', []],
    ['{"bip":"10.5.34.1/24"}', [set('bip')]],
    ['{"bip":null}', [set('bip')]],
    ['{"ip-masq":false,"mtu":1450}', [set('ip-masq'), set('mtu')]],
    ['\ufeff{"mtu":1450}', [set('mtu')]],
    // dockerd knows settings in lower case alone.
    ['{"MTU":1450}', []],
    ['{"bridge":"br0"}', ['"bridge" excludes --bip']],
    ['{"bridge":"none"}', ['"bridge" excludes --bip']],
    ['{"bridge":""}', []],
    ['{"fixed-cidr":"10.5.34.0/25"}', []],
    ['{"fixed-cidr":"10.5.0.0/16"}', []],
    ['{"default-gateway":"10.5.34.254"}', []],
    ['{"default-gateway":"10.5.35.1"}', ['"default-gateway" lies outside 10.5.34.0/24']],
    ['{"bridge":7,"fixed-cidr":[],"default-gateway":{}}', []],
    ['{"__proto__":{"bip":1},"hasOwnProperty":1}', []],
  ])("Docker's file %j has the conflicts %j", (text, conflicts) => {
    expect(judgeDaemonFile(text, 'd', FLAGS)).toEqual({ conflicts, notes: [] });
  });

  it("Docker's file is noted where dockerd starts with it, and containers miss something", () => {
    expect(judgeDaemonFile('{"fixed-cidr":"10.5.35.0/25","iptables":false}', 'd', FLAGS)).toEqual({
      conflicts: [],
      notes: [
        '"fixed-cidr" lies outside 10.5.34.0/24: Docker 28 has no address for a container',
        '"iptables" is false: Docker publishes no ports and masquerades nothing',
      ],
    });
  });

  it('a flag that is not written conflicts with nothing', () => {
    const text = '{"ip-masq":true,"mtu":1500}';
    const { conflicts } = judgeDaemonFile(text, 'd', { ...FLAGS, ipMasq: undefined });
    expect(conflicts).toEqual([set('mtu')]);
  });

  it.each([
    ['{"bip":', 'd: not valid JSON: '],
    ['[]', 'd: must be an object, is '],
    ['"bip"', 'd: must be an object, is '],
    [`${'['.repeat(1_000)}${']'.repeat(1_000)}`, 'd: nested more than '],
  ])("Docker's file %# is refused in one line", (text, message) => {
    expect(() => judgeDaemonFile(text, 'd', FLAGS)).toThrow(
      expect.objectContaining({ code: 'host', message: expect.stringMatching(`^${message}[^\n]*$`) }),
    );
  });

  it("Docker's file is read to a limit, and may be missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'twill-daemon-json-'));
    try {
      const path = join(folder, 'daemon.json');
      expect(await readDaemonVerdict(path, FLAGS)).toEqual({ conflicts: [], notes: [] });
      await expect(readDaemonVerdict('/dev/zero', FLAGS)).rejects.toThrow('no regular file');
      await writeFile(path, `{"bip":"${'1'.repeat(1_100_000)}"}`);
      await expect(readDaemonVerdict(path, FLAGS)).rejects.toMatchObject({
        code: 'host',
        message: `cannot read ${path}: it is longer than 1048576 bytes`,
      });
      await writeFile(path, '{"bip":"10.5.34.1/24","mtu":1450,"iptables":false}');
      expect(await daemonWarnings(path, FLAGS)).toEqual([
        `${path}: dockerd does not start with the flags of our options file: "bip" is set there, too, ` +
          '"mtu" is set there, too; remove these settings from that file',
        `${path}: "iptables" is false: Docker publishes no ports and masquerades nothing`,
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
