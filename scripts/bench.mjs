// `npm run bench -- NAME [options]`: sets the checkout up, then runs one benchmark.
import { ALL_PROGRAMS, setUp } from './setup.mjs';

/** The benchmarks and their meanings. */
const BENCHES = {
  start: 'from the start of an agent until it is ready, and its memory',
  converge: 'from a new lease in etcd to its route on every host, and the processor time of that',
  throughput: 'throughput and cost of udp beside vxlan and plain routing',
  stalls: 'the longest delay of packets beside a steady gigabit a second',
  restart: 'packets lost while an agent ends and starts again',
  faults: 'the time that each of many faults takes to heal',
  crowded: 'the cost of an idle agent and the time to heal, on an empty host and among the things of others',
  memory: 'memory and processor time in a Kubernetes cluster of 100, 1,000 and 5,000 Nodes',
  churn: 'packets lost at full load while peers come and go, and the memory of an agent',
};

const [name = '', ...args] = process.argv.slice(2);
try {
  if (!Object.hasOwn(BENCHES, name) || args.includes('--help')) {
    const list = Object.entries(BENCHES).map(([bench, what]) => `  ${bench.padEnd(12)}${what}\n`);
    process.stdout.write(`Usage: npm run bench -- NAME [options]\n\n${list.join('')}`);
    if (Object.hasOwn(BENCHES, name)) {
      const { usage } = await import(`../dist/lab/test/bench/${name}.js`);
      process.stdout.write(`\n${usage}`);
    }
    process.exitCode = name === '' || name === '--help' || args.includes('--help') ? 0 : 1;
  } else {
    if (process.getuid?.() !== 0)
      throw new Error('network namespaces need root: run it as root, or with sudo');
    await setUp(ALL_PROGRAMS);
    await removeOnSignals();
    const { run } = await import(`../dist/lab/test/bench/${name}.js`);
    await run(args);
  }
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

// Removes the labs of a stopped benchmark. A lab that was being made is removed by the next lab.
async function removeOnSignals() {
  const { removeOwnLabs } = await import('../dist/lab/test/lab/sweep.js');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, async () => {
      await removeOwnLabs();
      process.exit(130);
    });
  }
}
