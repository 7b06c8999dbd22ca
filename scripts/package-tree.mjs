// The files of the packages: one tree for all forms, which differs between architectures only by the native code.
import {
  chmodSync,
  cpSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { ARCHITECTURES } from './package-parts.mjs';
import { ROOT } from './setup.mjs';

const LIBRARY = 'usr/lib/twill';
const COPYRIGHT = 'usr/share/doc/twill/copyright';
/** Settings, which an upgrade does not touch. The datastore's password may be among them. */
export const SETTINGS = 'etc/twill/twill.env';

/** Files for some hosts, which the operator puts into their places. */
const EXAMPLES = `${LIBRARY}/examples`;

/** Where each file of deploy/ goes. */
const TARGETS = {
  'package/mk-docker-opts.sh': `${LIBRARY}/mk-docker-opts.sh`,
  'systemd/wait-subnet': `${LIBRARY}/wait-subnet`,
  'systemd/restart-docker': `${LIBRARY}/restart-docker`,
  'systemd/docker-drop-in': `${LIBRARY}/docker-drop-in`,
  'systemd/twill.env': SETTINGS,
  'systemd/twill.service': 'usr/lib/systemd/system/twill.service',
  'systemd/twill-docker.path': 'usr/lib/systemd/system/twill-docker.path',
  'systemd/twill-docker.service': 'usr/lib/systemd/system/twill-docker.service',
  'systemd/non-root.conf': `${EXAMPLES}/twill.service.d/non-root.conf`,
  'systemd/flannel.conf': `${EXAMPLES}/twill.service.d/flannel.conf`,
  'sysusers.d/twill.conf': `${EXAMPLES}/sysusers.d/twill.conf`,
  'sysctl.d/50-twill.conf': 'usr/lib/sysctl.d/50-twill.conf',
  'tmpfiles.d/twill.conf': 'usr/lib/tmpfiles.d/twill.conf',
  'networkd/networkd.conf': 'usr/lib/systemd/networkd.conf.d/10-twill.conf',
  'networkd/10-twill.network': 'usr/lib/systemd/network/10-twill.network',
  'networkd/10-twill.link': 'usr/lib/systemd/network/10-twill.link',
  'NetworkManager/30-twill.conf': 'usr/lib/NetworkManager/conf.d/30-twill.conf',
  'firewalld/twill.xml': 'usr/lib/firewalld/services/twill.xml',
};
/** The folders of deploy/ whose files all have a place in the table. */
const FOLDERS = [
  'systemd',
  'sysusers.d',
  'sysctl.d',
  'tmpfiles.d',
  'networkd',
  'NetworkManager',
  'firewalld',
];

/** The bundle. A build of the same commit makes the same source maps, so they stay out. */
const BUNDLE = ['main.js', 'forwarder-worker.js', 'prom-client.js', 're2js.js', 'yaml.js', 'package.json'];

/**
 * The files of npm packages that the bundle loads.
 *
 * @param {string} cpu Node's name of the architecture.
 */
const nativeFiles = (cpu) => [
  'netlink/package.json',
  'netlink/dist/raw.js',
  `netlink/prebuilds/linux-${cpu}/node.napi.node`,
  'node-gyp-build/package.json',
  'node-gyp-build/index.js',
  'node-gyp-build/node-gyp-build.js',
  'koffi/package.json',
  'koffi/index.cjs',
  'koffi/src/koffi/index.cjs',
  'koffi/src/koffi/src/static.cjs',
  `@koromix/koffi-linux-${cpu}/package.json`,
  `@koromix/koffi-linux-${cpu}/index.js`,
  `@koromix/koffi-linux-${cpu}/linux_${cpu}/koffi.node`,
];

/**
 * Writes the tree of an architecture into a new folder.
 *
 * @param {string} folder
 * @param {import('./package-parts.mjs').Architecture} architecture
 * @param {string} nodeModules Its npm packages.
 */
export function writeTree(folder, architecture, nodeModules) {
  /** @type {(from: string, to: string, mode?: number) => void} */
  const copy = (from, to, mode = 0o644) => {
    if (!existsSync(from)) throw new Error(`${from} is missing`);
    mkdirSync(dirname(join(folder, to)), { recursive: true });
    cpSync(from, join(folder, to));
    chmodSync(join(folder, to), mode);
  };
  // The program reads its version two folders above the bundle.
  const { name, version, license } = readJson(join(ROOT, 'package.json'));
  mkdirSync(join(folder, LIBRARY), { recursive: true });
  write(join(folder, LIBRARY, 'package.json'), `${JSON.stringify({ name, version, license })}\n`);
  for (const file of BUNDLE)
    copy(join(ROOT, 'dist/agent', file), `${LIBRARY}/dist/agent/${file}`, file === 'main.js' ? 0o755 : 0o644);
  for (const file of nativeFiles(ARCHITECTURES[architecture]))
    copy(join(nodeModules, file), `${LIBRARY}/node_modules/${file}`);
  for (const path of FOLDERS.flatMap(filesOf))
    if (!(path in TARGETS)) throw new Error(`deploy/${path} has no place in the packages`);
  for (const [path, to] of Object.entries(TARGETS)) {
    const from = join(ROOT, 'deploy', path);
    const isScript = existsSync(from) && readFileSync(from, 'utf8').startsWith('#!');
    copy(from, to, isScript ? 0o755 : to === SETTINGS ? 0o640 : 0o644);
  }
  mkdirSync(join(folder, 'usr/bin'), { recursive: true });
  for (const program of ['twill', 'twilld'])
    symlinkSync('../lib/twill/dist/agent/main.js', join(folder, 'usr/bin', program));
  mkdirSync(dirname(join(folder, COPYRIGHT)), { recursive: true });
  write(join(folder, COPYRIGHT), copyright());
}

/**
 * Sets one time and the modes of folders, whatever the umask is. Returns the paths below `folder`, sorted.
 *
 * @param {string} folder
 * @param {number} timeS
 * @returns {readonly { path: string, kind: 'folder' | 'link' | 'file' }[]}
 */
export function settle(folder, timeS) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => ({
    path: join(entry.parentPath, entry.name).slice(folder.length + 1),
    kind: /** @type {const} */ (entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? 'link' : 'file'),
  }));
  for (const { path, kind } of [...entries, { path: '', kind: 'folder' }]) {
    if (kind === 'folder') chmodSync(join(folder, path), 0o755);
    lutimesSync(join(folder, path), timeS, timeS);
  }
  return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** @param {string} folder */
function filesOf(folder) {
  return readdirSync(join(ROOT, 'deploy', folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(join(ROOT, 'deploy'), join(entry.parentPath, entry.name)));
}

// Our licence, and those of the packages in the bundle and beside it.
function copyright() {
  const { dependencies } = readJson(join(ROOT, 'package.json'));
  const parts = [...Object.keys(dependencies), 'koffi', 'node-gyp-build'].sort().map((name) => {
    const folder = join(ROOT, 'node_modules', name);
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) throw new Error(`${folder} has no licence`);
    const { version } = readJson(join(folder, 'package.json'));
    return `Twill contains ${name} ${version}:\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  return [readFileSync(join(ROOT, 'LICENSE'), 'utf8'), ...parts].join(`\n${'-'.repeat(80)}\n\n`);
}

/**
 * @param {string} path
 * @param {string} text
 */
function write(path, text) {
  writeFileSync(path, text);
  chmodSync(path, 0o644);
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
