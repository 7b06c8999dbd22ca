// Paths of the built program. The lab runs the build even if the lab itself runs from its sources.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export const PROJECT_ROOT: string = findRoot(dirname(fileURLToPath(import.meta.url)));

/** The command line of the built agent, without arguments. */
export const TWILL: readonly [string, string] = [process.execPath, join(PROJECT_ROOT, 'dist/agent/main.js')];

/** The command line of a helper program of the lab. */
export function labProgram(name: string): readonly [string, string] {
  return [process.execPath, join(PROJECT_ROOT, 'dist/lab/test/lab', `${name}.js`)];
}

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder));
}
