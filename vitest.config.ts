// The parts of the suite, in the order in which they run: cheap parts that say most come first. Tests on the real kernel
// and of whole programs share the machine's processors and run one file at a time.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

interface Part {
  readonly name: string;
  /** Parts of one group run beside each other, with one number of workers. */
  readonly group: number;
  readonly include: string;
  readonly testMs: number;
  readonly setUpMs: number;
  readonly workers: number;
}

const PARTS: readonly Part[] = [
  { name: 'tidy', group: 0, include: 'test/*.test.ts', testMs: 30_000, setUpMs: 30_000, workers: 1 },
  { name: 'unit', group: 1, include: 'test/unit/**/*.test.ts', testMs: 10_000, setUpMs: 10_000, workers: 2 },
  // Virtual time, so nothing but the processor counts.
  {
    name: 'simulation',
    group: 1,
    include: 'test/simulation/**/*.test.ts',
    testMs: 60_000,
    setUpMs: 30_000,
    workers: 2,
  },
  {
    name: 'dgram-native',
    group: 2,
    include: 'backends/dgram-native/test/**/*.test.ts',
    testMs: 30_000,
    setUpMs: 10_000,
    workers: 1,
  },
  {
    name: 'conformance',
    group: 3,
    include: 'test/conformance/**/*.test.ts',
    testMs: 30_000,
    setUpMs: 30_000,
    workers: 1,
  },
  {
    name: 'kubernetes',
    group: 4,
    include: 'test/kubernetes/**/*.test.ts',
    testMs: 60_000,
    setUpMs: 60_000,
    workers: 1,
  },
  {
    name: 'kernel',
    group: 5,
    include: 'test/kernel/**/*.test.ts',
    testMs: 60_000,
    setUpMs: 30_000,
    workers: 1,
  },
  { name: 'e2e', group: 6, include: 'test/e2e/**/*.test.ts', testMs: 90_000, setUpMs: 60_000, workers: 1 },
  {
    name: 'hostile',
    group: 7,
    include: 'test/hostile/**/*.test.ts',
    testMs: 90_000,
    setUpMs: 60_000,
    workers: 1,
  },
  {
    name: 'containers',
    group: 8,
    include: 'test/containers/**/*.test.ts',
    testMs: 90_000,
    setUpMs: 90_000,
    workers: 1,
  },
  {
    name: 'hosts',
    group: 9,
    include: 'test/hosts/**/*.test.ts',
    testMs: 90_000,
    setUpMs: 120_000,
    workers: 1,
  },
  {
    name: 'faults',
    group: 10,
    include: 'test/faults/**/*.test.ts',
    testMs: 120_000,
    setUpMs: 60_000,
    workers: 1,
  },
];

/** Begins with the simulation: one of its files takes longer than any other file of its group. */
class SimulationFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isSimulation = ({ project }: TestSpecification): boolean => project.name === 'simulation';
    return [...sorted.filter(isSimulation), ...sorted.filter((file) => !isSimulation(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: SimulationFirst },
    passWithNoTests: false,
    projects: PARTS.map(({ name, group, include, testMs, setUpMs, workers }) => ({
      // Our own packages are tested from their sources.
      ssr: { resolve: { conditions: ['twill-source'] } },
      test: {
        name,
        include: [include],
        environment: 'node',
        testTimeout: testMs,
        // A poll ends with its first success. The default, a second, is too short for a busy machine.
        expect: { poll: { timeout: 10_000 } },
        hookTimeout: setUpMs,
        teardownTimeout: setUpMs,
        fileParallelism: workers > 1,
        maxWorkers: workers,
        sequence: { groupOrder: group },
      },
    })),
  },
});
