// The real kernel, in the private network namespace that the test runner starts this folder in.
import { execFileSync } from 'node:child_process';
import { beforeAll, describe } from 'vitest';
import { openNetlinkKernel } from '../../agent/kernel/netlink-kernel.ts';
import { kernelSuite } from './kernel-suite.ts';

const isPrivate = process.env['TWILL_PRIVATE_NETNS'] === '1';
const title = isPrivate
  ? 'the kernel of Linux'
  : 'the kernel of Linux (skipped: needs a private network namespace)';

describe.skipIf(!isPrivate)(title, () => {
  beforeAll(() => {
    const ip = (...args: string[]): void => void execFileSync('ip', args);
    ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    ip('link', 'set', 'other', 'up');
    ip('address', 'add', '192.168.77.1/24', 'dev', 'eth0');
    ip('link', 'set', 'eth0', 'up');
    return () => ip('link', 'delete', 'eth0');
  });
  kernelSuite(() => openNetlinkKernel());
});
