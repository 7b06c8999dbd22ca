import { describe } from 'vitest';
import { createMemoryKernel } from '../fakes/memory-kernel.ts';
import { kernelSuite } from './kernel-suite.ts';

describe('the kernel in memory', () => {
  kernelSuite(() => createMemoryKernel({ name: 'eth0', prefix: '192.168.77.0/24' }));
});
