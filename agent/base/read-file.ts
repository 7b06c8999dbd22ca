// Reads files that others may have written or replaced. A pipe, a device or a file without end at the path costs an
// error, and neither time nor memory.
import { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoOf } from './errors.ts';

/** The start of a file, from one open descriptor. */
export interface FileStart {
  readonly bytes: Buffer;
  /** Whether the file goes on after `bytes`. */
  readonly isPart: boolean;
  /** Owner, mode and times of the very file that was read. */
  readonly stats: Stats;
}

export interface ReadFileOptions {
  /** Bytes that are read at most. */
  readonly maxBytes: number;
  /** Whether the last part of the path may be a symbolic link. Default: true. */
  readonly followLink?: boolean;
}

const CHUNK_BYTES = 65_536;
// Opening a pipe waits for its writer, and opening a terminal may make it ours: neither happens with these flags.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * Reads the first bytes of a regular file. Fails with the error of the system call, or with a plain error where the
 * file is another kind of file.
 */
export async function readFileStart(
  path: string,
  { maxBytes, followLink = true }: ReadFileOptions,
): Promise<FileStart> {
  await using file = await open(path, followLink ? FLAGS : FLAGS | constants.O_NOFOLLOW).catch(
    (error: unknown) => {
      // The system calls it a loop.
      throw !followLink && errnoOf(error) === 'ELOOP' ? new Error('it is a symbolic link') : error;
    },
  );
  const stats = await file.stat();
  if (!stats.isFile()) throw new Error('it is no regular file');
  const chunks: Buffer[] = [];
  let bytes = 0;
  // The size says nothing about a file of /proc, and the file may grow.
  while (bytes <= maxBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes + 1 - bytes));
    const { bytesRead } = await file.read(chunk, 0);
    if (bytesRead === 0) break;
    chunks.push(chunk.subarray(0, bytesRead));
    bytes += bytesRead;
  }
  return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), isPart: bytes > maxBytes, stats };
}

/** Reads a regular file to its end. Fails like `readFileStart`, and where the file is longer than `maxBytes`. */
export async function readWholeFile(path: string, options: ReadFileOptions): Promise<Buffer> {
  const { bytes, isPart } = await readFileStart(path, options);
  if (isPart) throw new Error(`it is longer than ${options.maxBytes} bytes`);
  return bytes;
}
