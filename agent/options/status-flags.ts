// Where the agent answers `twill status`.
import { dirname, join } from 'node:path';
import { TwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';

/** The system cuts a longer path of a socket. */
const PATH_BYTES = 107;

/**
 * The socket: `value` of the flag named `source`, or twill.sock beside the subnet file where that is empty. Undefined:
 * none is wanted. Fails as `usage` where no socket can have the path.
 */
export function statusPlace(value: string, subnetFile: string, source: string): string | undefined {
  if (value === 'off') return undefined;
  const path = value === '' ? join(dirname(subnetFile), 'twill.sock') : value;
  const bytes = Buffer.byteLength(path);
  if (bytes > PATH_BYTES) {
    const what = `must be off, or a path of ${PATH_BYTES} bytes at most`;
    throw new TwillError('usage', `${source}: ${what}, has ${bytes}: ${excerpt(path)}`, {
      hint: 'without a value it lies beside --subnet-file',
    });
  }
  if (path.endsWith('/') || path.includes('\0'))
    throw new TwillError('usage', `${source}: must be off or the path of a socket, is ${excerpt(path)}`);
  return path;
}
