// Bundles the sources into the installed program: dist/agent/main.js, and the worker of the udp backend beside it. All
// packages are in the bundle, except those with native code. Dynamic imports stay lazy: Node compiles a command, a
// store or a backend at its first use. The libraries of --iface-regex, of a kubeconfig and of metrics are seldom
// used: each is a file of its own, which no other start reads.
//
// The format is CommonJS, because Node's loader of ECMAScript modules costs 2 MiB at each start.
//
//     node scripts/bundle.mjs
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUT = join(ROOT, 'dist/agent');

/**
 * Leaves the file of netlink that loads its add-on where it is, because it looks for the add-on beside itself. koffi is
 * required by its name at run time, which the bundler does not follow.
 *
 * @type {import('esbuild').Plugin}
 */
const netlinkAddOn = {
  name: 'netlink add-on',
  setup(bundler) {
    bundler.onResolve({ filter: /\/raw(?:\.js)?$/ }, ({ path, importer }) =>
      path.startsWith('netlink/') || importer.includes('/node_modules/netlink/')
        ? { path: 'netlink/dist/raw.js', external: true }
        : undefined,
    );
  },
};

/** @type {import('esbuild').Plugin} */
const seldomApart = {
  name: 'seldom used libraries apart',
  setup(bundler) {
    bundler.onResolve({ filter: /^(?:re2js|yaml|prom-client\/lib\/registry\.js)$/ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path: `./${path.replace(/\/.*/, '')}.js`, external: true } : undefined,
    );
  },
};

rmSync(OUT, { recursive: true, force: true });
await build({
  absWorkingDir: ROOT,
  entryPoints: {
    main: 'agent/main.ts',
    'forwarder-worker': 'backends/udp/forwarder-worker.ts',
    'prom-client': 'prom-client/lib/registry.js',
    re2js: 're2js',
    yaml: 'yaml',
  },
  outdir: OUT,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  // Identifiers stay, so that the stack of an internal error has names. They cost 0.2 MiB.
  minifyWhitespace: true,
  minifySyntax: true,
  // Node reads the maps only with NODE_OPTIONS=--enable-source-maps.
  sourcemap: 'linked',
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl=require('node:url').pathToFileURL(__filename).href;" },
  plugins: [netlinkAddOn, seldomApart],
  logLevel: 'warning',
});
// package.json of the project says `module`.
writeFileSync(join(OUT, 'package.json'), '{"type":"commonjs"}\n');
