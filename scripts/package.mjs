// `npm run package`: packages for hosts, of each architecture: a tarball with install.sh, a .deb and an .rpm of the
// same files. Two runs on one commit give the same bytes.
//
//     npm run package               into dist/packages
//     npm run package -- FOLDER     into a folder of yours
//
// Node.js is not in the packages. It would make them fifty times as large, and its security updates would be ours.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { ARCHITECTURES, buildNfpm, fetchNodeModules, readTimeS, run } from './package-parts.mjs';
import { SETTINGS, settle, writeTree } from './package-tree.mjs';
import { ROOT, setUp } from './setup.mjs';

const OUT = join(ROOT, 'dist/packages');
const PACK_MS = 120_000;
const SCRIPTS = ['install.sh', 'uninstall.sh', 'postinstall.sh', 'preremove.sh', 'postremove.sh'];
/** Folders that each host has. A package removes the others when nothing is left in them. */
const SYSTEM_FOLDERS = [
  'etc',
  'usr',
  ...['bin', 'lib', 'lib/systemd', 'lib/systemd/system', 'share', 'share/doc'].map((name) => `usr/${name}`),
];
const DEPLOY = join(ROOT, 'deploy/package');

/** @typedef {import('./package-parts.mjs').Architecture} Architecture */

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`package: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** @param {readonly string[]} args */
async function main(args) {
  if (args.length > 1 || args[0]?.startsWith('-')) throw new Error('the only argument is a folder');
  await setUp([]);
  const folder = resolve(args[0] ?? OUT);
  const { version, description } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const timeS = readTimeS();
  const nfpm = buildNfpm();
  const temporary = mkdtempSync(join(tmpdir(), 'twill-package-'));
  // Packages of another version. A folder of somebody else may hold other things.
  if (folder === OUT) rmSync(OUT, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    for (const architecture of /** @type {Architecture[]} */ (Object.keys(ARCHITECTURES))) {
      const name = `twill-${version}-linux-${architecture}`;
      const top = join(temporary, name);
      const root = join(top, 'root');
      writeTree(root, architecture, fetchNodeModules(architecture));
      for (const script of SCRIPTS) {
        cpSync(join(DEPLOY, script), join(top, script));
        chmodSync(join(top, script), 0o755);
      }
      settle(top, timeS);
      const tarball = join(folder, `${name}.tar.gz`);
      writeTarball(tarball, temporary, name);
      const config = join(temporary, `${architecture}.json`);
      writeFileSync(config, JSON.stringify(nfpmConfig({ architecture, version, description, root, timeS })));
      const files = [tarball];
      for (const packager of ['deb', 'rpm']) {
        const env = { ...process.env, SOURCE_DATE_EPOCH: String(timeS) };
        const words = ['package', '--config', config, '--packager', packager, '--target', folder];
        const said = run(nfpm, words, PACK_MS, { env });
        files.push(join(folder, basename(/created package: (\S+)/.exec(said)?.[1] ?? '')));
      }
      for (const file of files) {
        const size = (statSync(file).size / 1e6).toFixed(2);
        process.stdout.write(`${basename(file)}  ${size} MB\n`);
      }
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * @param {string} file
 * @param {string} parent
 * @param {string} name
 */
function writeTarball(file, parent, name) {
  const owner = ['--owner=root:0', '--group=root:0', '--format=gnu', '--sort=name'];
  run('tar', ['-C', parent, ...owner, '--use-compress-program=gzip -9n', '-cf', file, name], PACK_MS);
}

/**
 * @param {{ architecture: Architecture, version: string, description: string, root: string, timeS: number }} options
 */
function nfpmConfig({ architecture, version, description, root, timeS }) {
  const mtime = new Date(timeS * 1_000).toISOString();
  const contents = settle(root, timeS).flatMap(({ path, kind }) => {
    const dst = `/${path}`;
    const src = join(root, path);
    const mode = kind === 'link' ? 0o777 : statSync(src).mode & 0o777;
    const file_info = { owner: 'root', group: 'root', mtime, mode };
    if (kind === 'link') return [{ dst, src: readlinkSync(src), type: 'symlink', file_info }];
    if (kind === 'folder') return SYSTEM_FOLDERS.includes(path) ? [] : [{ dst, type: 'dir', file_info }];
    return [{ dst, src, file_info, ...(path === SETTINGS ? { type: 'config|noreplace' } : {}) }];
  });
  const firewalls = ['iptables', 'nftables'];
  return {
    name: 'twill',
    arch: architecture,
    platform: 'linux',
    version,
    release: '1',
    section: 'net',
    priority: 'optional',
    maintainer: 'The Twill authors',
    description,
    license: 'Apache-2.0',
    mtime,
    contents,
    scripts: Object.fromEntries(
      ['preinstall', 'postinstall', 'preremove', 'postremove'].map((name) => [
        name,
        join(DEPLOY, `${name}.sh`),
      ]),
    ),
    overrides: {
      deb: { depends: ['nodejs (>= 20.19)'], recommends: firewalls },
      // Fedora's package of Node.js has an epoch, so its version says nothing.
      rpm: { depends: ['nodejs(engine) >= 20.19'], recommends: firewalls },
    },
    rpm: { buildhost: 'localhost' },
    deb: { compression: 'xz' },
  };
}
