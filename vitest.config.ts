// The parts of the suite, in the order in which they run: what is cheap and says most comes first. Tests on the
// real kernel and of whole programs share the machine's processors and run one file at a time.
import { defineConfig } from 'vitest/config';

interface Part {
  readonly name: string;
  readonly include: string;
  readonly testMs: number;
  readonly setUpMs: number;
  readonly workers: number;
}

const PARTS: readonly Part[] = [
  { name: 'tidy', include: 'test/*.test.ts', testMs: 30_000, setUpMs: 30_000, workers: 1 },
  { name: 'unit', include: 'test/unit/**/*.test.ts', testMs: 10_000, setUpMs: 10_000, workers: 2 },
  {
    name: 'dgram-native',
    include: 'backends/dgram-native/test/**/*.test.ts',
    testMs: 30_000,
    setUpMs: 10_000,
    workers: 1,
  },
  {
    name: 'conformance',
    include: 'test/conformance/**/*.test.ts',
    testMs: 30_000,
    setUpMs: 30_000,
    workers: 1,
  },
  {
    name: 'simulation',
    include: 'test/simulation/**/*.test.ts',
    testMs: 60_000,
    setUpMs: 30_000,
    workers: 1,
  },
  { name: 'kernel', include: 'test/kernel/**/*.test.ts', testMs: 60_000, setUpMs: 30_000, workers: 1 },
  { name: 'e2e', include: 'test/e2e/**/*.test.ts', testMs: 90_000, setUpMs: 60_000, workers: 1 },
  { name: 'faults', include: 'test/faults/**/*.test.ts', testMs: 120_000, setUpMs: 60_000, workers: 1 },
];

export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: PARTS.map(({ name, include, testMs, setUpMs, workers }, order) => ({
      // Our own packages are tested from their sources.
      ssr: { resolve: { conditions: ['twill-source'] } },
      test: {
        name,
        include: [include],
        environment: 'node',
        testTimeout: testMs,
        hookTimeout: setUpMs,
        teardownTimeout: setUpMs,
        fileParallelism: workers > 1,
        maxWorkers: workers,
        sequence: { groupOrder: order },
      },
    })),
  },
});
