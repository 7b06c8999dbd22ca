// `npm run demo`: shows the agent's main job on one machine. It sets up a fresh checkout first.
import { HELP, readDemoOptions } from './demo-options.mjs';
import { ETCD_PROGRAMS, LAB_PROGRAMS, setUp } from './setup.mjs';

try {
  const options = readDemoOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
  } else {
    if (process.getuid?.() !== 0)
      throw new Error('network namespaces need root: run it as root, or with sudo');
    await setUp([...LAB_PROGRAMS, ...(options.store === 'etcd' ? ETCD_PROGRAMS : [])]);
    const { runDemo } = await import('../dist/lab/test/lab/demo.js');
    process.exitCode = await runDemo(options);
  }
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
