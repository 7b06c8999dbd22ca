// Scans a TypeScript file for the tidy rules: its code without comments and texts, its comments, and its imports. A
// small scanner of our own, because the compiler offers no parser to programs.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** One import, static or dynamic, or a re-export. */
export interface Import {
  /** As written: `./ip.ts`, `node:fs`, `netlink`. */
  readonly specifier: string;
  readonly line: number;
  /** The import is erased from the program. */
  readonly typeOnly: boolean;
}

export interface Source {
  /** Path from the project's folder. */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the contents of string, template and regex literals blanked. Same offsets. */
  readonly code: string;
  /** Offsets of the comments, start and end. */
  readonly comments: readonly (readonly [number, number])[];
  readonly imports: readonly Import[];
}

/** All files under a folder of the project, by path, sorted. Empty if the folder is missing. */
export function listFiles(folder: string): readonly string[] {
  try {
    return readdirSync(join(ROOT, folder), { withFileTypes: true })
      .flatMap((entry) => {
        const path = `${folder}/${entry.name}`;
        if (entry.isDirectory()) return ['node_modules', 'dist'].includes(entry.name) ? [] : listFiles(path);
        return [path];
      })
      .sort();
  } catch {
    return [];
  }
}

/** Reads and scans one file. */
export function readSource(path: string): Source {
  return scanSource(path, readFileSync(join(ROOT, path), 'utf8'));
}

/** Number of the line at an offset, from 1. */
export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

const AFTER_IMPORT = /(?:\bfrom|\bimport|\bimport\s*\(|\brequire\s*\()\s*$/;
const TYPE_IMPORT = /\b(?:import|export)\s+type\s[^;'"]*$/;
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|of|in|await|yield))\s*$/;
const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[`{}]/y;

/** Scans text as if it were the file at `path`. */
export function scanSource(path: string, text: string): Source {
  const imports: Import[] = [];
  const comments: (readonly [number, number])[] = [];
  // For each open brace: whether it is the `${` of a template, which its closing brace continues.
  const braces: boolean[] = [];
  let code = '';
  let at = 0;
  const skip = (length: number, blanked: string): void => {
    code += blanked;
    at += length;
  };
  const template = (): void => {
    const body = /(?:\\[\s\S]|\$(?!\{)|[^\\`$])*/y;
    body.lastIndex = at;
    const length = body.exec(text)?.[0].length ?? 0;
    skip(length, blank(text.slice(at, at + length)));
    if (text[at] === '`') skip(1, '`');
    else if (text.startsWith('${', at)) {
      skip(2, '${');
      braces.push(true);
    }
  };
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    const first = token?.[0];
    if (token === undefined || (first === '/' && !/^\/[/*]/.test(token) && !BEFORE_REGEX.test(code))) {
      skip(1, text[at] ?? '');
    } else if (token === '`') {
      skip(1, token);
      template();
    } else if (token === '{') {
      skip(1, token);
      braces.push(false);
    } else if (token === '}') {
      skip(1, token);
      if (braces.pop() === true) template();
    } else if (first === "'" || first === '"') {
      if (AFTER_IMPORT.test(code)) {
        const typeOnly = TYPE_IMPORT.test(code);
        imports.push({ specifier: token.slice(1, -1), line: lineOf(text, at), typeOnly });
      }
      skip(token.length, `${first}${blank(token.slice(1, -1))}${first}`);
    } else {
      if (/^\/[/*]/.test(token)) comments.push([at, at + token.length]);
      skip(token.length, blank(token));
    }
  }
  return { path, text, code, comments, imports };
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, ' ');
}
