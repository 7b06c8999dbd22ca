// The chapters of README and other pages whose commands the tests run as they stand there.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROJECT_ROOT } from './paths.ts';

/** A block of commands. */
export interface Step {
  /** Number of the host that it runs on; `each`: it runs on all; `checkout`: on a machine with a checkout. */
  readonly place: number | 'each' | 'checkout';
  /** The rest of the line that names the place: `, as a user without rights`. */
  readonly remark: string;
  readonly script: string;
}

/** A part of a chapter with a title of its own. */
export interface Section {
  readonly title: string;
  readonly steps: readonly Step[];
}

/** Reads the chapter of a page with that title, which begins with `## `. */
export async function readChapter(title: string, page = 'README.md'): Promise<string> {
  const text = await readFile(join(PROJECT_ROOT, page), 'utf8');
  const chapter = text.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  if (chapter === undefined) throw new Error(`${page} has no chapter "${title}"`);
  return chapter;
}

/** The sections of a chapter in their order. The blocks before the first one have the chapter's title. */
export function sectionsIn(chapter: string): readonly Section[] {
  return chapter
    .split(/^### /m)
    .map((part) => ({ title: part.slice(0, part.indexOf('\n')), steps: stepsIn(part) }));
}

// The first line of a block says where it runs: `# on h1`, `# on each host, as a user without rights`.
function stepsIn(part: string): readonly Step[] {
  return [...part.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => {
    const [, where, remark = '', script = ''] =
      /^# (on each host|on h\d+|in a checkout)(.*)\n([^]*)$/.exec(block) ?? [];
    if (where === undefined) throw new Error(`a block of commands does not say where it runs: ${block}`);
    const number = Number(/\d+/.exec(where)?.[0]);
    const place = where === 'in a checkout' ? 'checkout' : where === 'on each host' ? 'each' : number;
    return { place, remark, script };
  });
}
