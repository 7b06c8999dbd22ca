// `npm run demo`: shows the agent's main job on one machine. It sets up a fresh checkout first.
import { HELP, readDemoOptions } from './demo-options.mjs';
import { fillKubernetes } from './kubernetes-cache.mjs';
import { withLock } from './lock.mjs';
import { ETCD_PROGRAMS, LAB_PROGRAMS, setUp } from './setup.mjs';

try {
  const options = readDemoOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
  } else {
    if (process.getuid?.() !== 0)
      throw new Error('network namespaces need root: run it as root, or with sudo');
    /** @type {readonly import('./setup.mjs').Program[]} */
    const more = options.systemd
      ? ['systemd-nspawn']
      : options.kubernetes
        ? [...ETCD_PROGRAMS, 'openssl', 'buildah']
        : options.store === 'etcd'
          ? ETCD_PROGRAMS
          : [];
    await setUp([...LAB_PROGRAMS, ...more]);
    const engine = options.engine === 'none' || options.remove ? undefined : await openEngine(options.engine);
    const debian = options.systemd ? await openDebian() : undefined;
    if (options.kubernetes) await fillKubernetes(say);
    const { runDemo } = await import('../dist/lab/test/lab/demo.js');
    process.exitCode = await runDemo({ ...options, engine, debian });
  }
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`demo: ${line}\n`);
}

async function openDebian() {
  const { engineCacheFolder } = await import('../dist/lab/test/lab/engines/cache.js');
  const { openDebian13 } = await import('../dist/lab/test/lab/systemd/debian-hosts.js');
  return withLock('engines', engineCacheFolder(), () => openDebian13(say));
}

/** @param {string} name */
async function openEngine(name) {
  const lab = await import('../dist/lab/test/lab/engines/demo-engine.js');
  return withLock('engines', lab.engineCacheFolder(), () => lab.openEngine(name, say));
}
