// Holds the structure and the habits of the code: the imports of each layer, one door to each package and each
// dangerous global, names, sizes, format, lint and types.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { wideComments, wideMarkdown } from './tidy/columns.ts';
import {
  type Door,
  GLOBAL_DOORS,
  HABITS,
  LAYERS,
  type Layer,
  MODULE_DOORS,
  PACKAGE_DOORS,
  TEST_LAYERS,
} from './tidy/rules.ts';
import { lineOf, listFiles, ROOT, readSource, type Source, scanSource } from './tidy/source.ts';

const MAX_LINES = 300;
const MAX_COLUMNS = 120;
const UNFINISHED = /\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b/g;

const sourceFiles = [...listFiles('agent'), ...listFiles('backends')];
const programFiles = sourceFiles.filter((path) => !path.includes('/test/'));
const testFiles = [...listFiles('test'), ...sourceFiles.filter((path) => path.includes('/test/'))];
const program = programFiles.filter((path) => path.endsWith('.ts')).map(readSource);
const tests = testFiles.filter((path) => path.endsWith('.ts')).map(readSource);
// The package's own tests are not among them: it is below all layers.
const suites = tests.filter(({ path }) => path.startsWith('test/'));

function layerOf(path: string, layers: readonly Layer[]): Layer | undefined {
  return layers.find(({ files }) => files.test(path));
}

// Imports of a file that its layer may not use, but for those that are `allowed` to every layer.
function strayImports(
  { path, imports }: Source,
  layers: readonly Layer[],
  allowed: (target: string) => boolean = () => false,
): readonly string[] {
  const from = layerOf(path, layers);
  return imports.flatMap(({ specifier, line }) => {
    if (!specifier.startsWith('.')) return [];
    const target = posix.join(posix.dirname(path), specifier);
    const to = layerOf(target, layers);
    if (to !== undefined && (from === to || from?.uses.includes(to.name) === true)) return [];
    return allowed(target) ? [] : [`${path}:${line} imports ${target}`];
  });
}

function isBehind(door: Door, path: string): boolean {
  return door.doors.some((entry) => (entry.endsWith('/') ? path.startsWith(entry) : path === entry));
}

// Places where a pattern is found, as `path:line`.
function places(source: Source, text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].map((match) => `${source.path}:${lineOf(text, match.index)}`);
}

describe('the scanner', () => {
  const scan = (text: string) => scanSource('x.ts', text);

  it('the scanner finds static, dynamic and re-exporting imports, and no others', () => {
    const { imports } = scan(
      [
        "import { a } from './a.ts';",
        "import type { B } from '../b.ts';",
        "import 'c';",
        "export { d } from './d.ts';",
        "const e = await import('./e.ts');",
        "const { f, g } = await Promise.all([import( './f.ts' )]);",
        "// import { h } from './h.ts';",
        "const text = `import '${1}./i.ts'`;",
        "log('from', './j.ts');",
      ].join('\n'),
    );
    expect(
      imports.map(({ specifier, line, typeOnly }) => `${line} ${specifier}${typeOnly ? ' (type)' : ''}`),
    ).toEqual(['1 ./a.ts', '2 ../b.ts (type)', '3 c', '4 ./d.ts', '5 ./e.ts', '6 ./f.ts']);
  });

  it.each([
    ["'process.env'", false],
    ['"a\\" process.env"', false],
    ['// process.env', false],
    ['/* process.env\n process.env */', false],
    ['/process.env/.test(x)', false],
    ['/[/"] process.env/.test(x)', false],
    ['`a process.env ${b} process.env`', false],
    ['`a ${`${process.env}`} b`', true],
    ['`a ${ { b: 1 }.b } c`; process.env', true],
    ['a / 2; process.env; b / 2', true],
    ['"//"; process.env', true],
    ["it's('/*'); process.env".replace("it's", 'its'), true],
    ['x = /\\//; process.env', true],
  ])('the scanner sees code and not text in %j', (text, expected) => {
    expect(/process\.env/.test(scan(text).code)).toBe(expected);
  });
});

describe('imports', () => {
  it('every file belongs to a layer', () => {
    const strays = (sources: readonly Source[], layers: readonly Layer[]): readonly string[] =>
      sources.map(({ path }) => path).filter((path) => layerOf(path, layers) === undefined);
    expect([...strays(program, LAYERS), ...strays(suites, TEST_LAYERS)]).toEqual([]);
  });

  it('imports go to lower layers only, and never to a sibling', () => {
    expect(program.flatMap((source) => strayImports(source, LAYERS))).toEqual([]);
  });

  it('imports of tests go to lower layers of the tests only, and never to another suite', () => {
    const isProgram = (path: string): boolean => layerOf(path, LAYERS) !== undefined;
    expect(suites.flatMap((source) => strayImports(source, TEST_LAYERS, isProgram))).toEqual([]);
  });

  it.each([
    ['test/kernel/a.ts', '../unit/b.ts', ['test/kernel/a.ts:1 imports test/unit/b.ts']],
    ['test/support/a.ts', '../lab/b.ts', ['test/support/a.ts:1 imports test/lab/b.ts']],
    ['test/kernel/a.ts', '../lab/b.ts', []],
    ['test/kernel/a.ts', './b.ts', []],
    ['test/kernel/a.ts', 'vitest', []],
    ['test/other/a.ts', './b.ts', ['test/other/a.ts:1 imports test/other/b.ts']],
  ])('the layers judge the imports of %s: %s', (path, specifier, expected) => {
    expect(strayImports(scanSource(path, `import '${specifier}';`), TEST_LAYERS)).toEqual(expected);
  });

  it('imports lead to files that exist, with their extension', () => {
    const missing = [...program, ...tests].flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier }) => specifier.startsWith('.') && !specifier.startsWith('../../dist/'))
        .filter(({ specifier }) => !existsSync(join(ROOT, posix.dirname(path), specifier)))
        .map(({ specifier, line }) => `${path}:${line} imports ${specifier}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('doors', () => {
  const foreign = program.flatMap(({ path, imports }) =>
    imports.filter(({ specifier }) => !specifier.startsWith('.')).map((found) => ({ path, ...found })),
  );

  it('every package is imported behind its own door only', () => {
    const wrong = foreign
      .filter(({ specifier }) => !specifier.startsWith('node:'))
      .filter(({ path, specifier }) => {
        const door = PACKAGE_DOORS.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
        return door === undefined || !isBehind(door, path);
      });
    expect(wrong).toEqual([]);
  });

  it('every dependency has its door', () => {
    const read = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));
    const { dependencies, workspaces } = read('.') as {
      readonly dependencies: Readonly<Record<string, string>>;
      readonly workspaces: readonly string[];
    };
    const own = workspaces.map((folder) => read(folder));
    const names = [dependencies, ...own.map((entry) => entry.dependencies)].flatMap((entry) =>
      Object.keys(entry),
    );
    const known = new Set([...names, ...own.map(({ name }) => name)]);
    expect(known).toEqual(new Set(PACKAGE_DOORS.map(({ name }) => name)));
  });

  it.each(MODULE_DOORS)('$name is imported behind its door only', (door) => {
    const uses = foreign.filter(({ specifier, typeOnly }) => specifier === door.name && !typeOnly);
    const wrong = uses.filter(({ path }) => !isBehind(door, path));
    expect(wrong).toEqual([]);
  });

  it.each(GLOBAL_DOORS)('$name is used behind its door only', (door) => {
    const outside = program.filter(({ path }) => !isBehind(door, path));
    expect(outside.flatMap((source) => places(source, source.code, door.pattern))).toEqual([]);
  });

  it('each door is where the rules name it', () => {
    const paths = [...PACKAGE_DOORS, ...MODULE_DOORS, ...GLOBAL_DOORS].flatMap(({ doors }) => doors);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

describe('habits', () => {
  it.each(HABITS)('the program has no $name', ({ pattern }) => {
    expect(program.flatMap((source) => places(source, source.code, pattern))).toEqual([]);
  });

  it('file and folder names are kebab-case', () => {
    const kebab = /^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)+$/;
    // Tools and registries expect these two names in a package.
    const named = [...programFiles, ...testFiles].filter((path) => !/\/(?:LICENSE|README\.md)$/.test(path));
    expect(named.filter((path) => !kebab.test(path))).toEqual([]);
  });

  it(`no file has more than ${MAX_LINES} lines`, () => {
    const long = [...program, ...tests].filter(({ text }) => text.trimEnd().split('\n').length > MAX_LINES);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it('no comment leaves work for later', () => {
    expect([...program, ...tests].flatMap((source) => places(source, source.text, UNFINISHED))).toEqual([]);
  });

  it('every file of the program opens with a comment', () => {
    const silent = program.filter(({ text }) => !/^(?:#![^\n]*\n)?\/\//.test(text));
    expect(silent.map(({ path }) => path)).toEqual([]);
  });
});

describe('the width of prose', () => {
  const narrow = 'x'.repeat(40);

  it.each([
    [`// ${narrow} ${narrow}`, ['a.ts:1']],
    [`/*\n * ${narrow} ${narrow}\n */`, ['a.ts:2']],
    [`const a = 1; // ${narrow} ${narrow}`, ['a.ts:1']],
    [`// ${narrow} https://example.org/${narrow}`, []],
    [`const a = '// ${narrow} ${narrow}';`, []],
    [`const a = '${narrow}'.concat('${narrow}');\n// ${narrow}`, []],
  ])('the width is measured in the comments of %j', (text, expected) => {
    expect(wideComments(scanSource('a.ts', text), 60)).toEqual(expected);
  });

  it.each([
    [`${narrow}\n- ${narrow} ${narrow}`, ['a.md:2']],
    [`[${narrow}](https://example.org/${narrow})`, []],
    [`| ${narrow} | ${narrow} |\n\n    ${narrow} ${narrow}`, []],
    [`\`\`\`sh\n${narrow} ${narrow}\n\`\`\`\n${narrow} ${narrow}`, ['a.md:4']],
  ])('the width is measured in the Markdown %j', (text, expected) => {
    expect(wideMarkdown('a.md', text, 60)).toEqual(expected);
  });

  it(`a comment is at most ${MAX_COLUMNS} columns wide`, () => {
    const scripts = [...listFiles('scripts'), ...sourceFiles].filter((path) => path.endsWith('.mjs'));
    const sources = [...program, ...tests, ...scripts.map(readSource)];
    expect(sources.flatMap((source) => wideComments(source, MAX_COLUMNS))).toEqual([]);
  });

  it(`a Markdown text is at most ${MAX_COLUMNS} columns wide`, () => {
    const pages = [...readdirSync(ROOT), ...sourceFiles, ...testFiles].filter((path) => path.endsWith('.md'));
    const wide = pages.flatMap((path) =>
      wideMarkdown(path, readFileSync(join(ROOT, path), 'utf8'), MAX_COLUMNS),
    );
    expect(wide).toEqual([]);
  });
});

describe('the documents', () => {
  it('the documents name files and folders that exist', () => {
    const pages = readdirSync(ROOT).filter((path) => path.endsWith('.md'));
    const named = pages.flatMap((page) => {
      const text = readFileSync(join(ROOT, page), 'utf8');
      const paths = text.match(/(?<![\w/.-])(?:agent|backends|scripts|test)\/[\w./-]*\w/g) ?? [];
      return paths.map((path) => ({ page, path }));
    });
    // X stands for the reader's own name.
    const missing = named.filter(({ path }) => !/\bX\b/.test(path) && !existsSync(join(ROOT, path)));
    expect(named.length).toBeGreaterThan(10);
    expect(missing).toEqual([]);
  });
});

describe('the lock file', () => {
  it('the lock file names no host to install from, and a hash for every package', () => {
    const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
    const wrong = Object.entries(packages)
      .filter(([path, entry]) => path.startsWith('node_modules/') && entry['link'] !== true)
      .filter(([, entry]) => entry['resolved'] !== undefined || typeof entry['integrity'] !== 'string');
    expect(wrong.map(([path]) => path)).toEqual([]);
  });
});

describe('the project', () => {
  it.each([
    ['is type-checked', 'tsc', []],
    ['is linted', 'oxlint', ['--type-aware', '--deny-warnings']],
    ['is formatted', 'biome', ['check', '.']],
  ] as const)('%s', { timeout: 120_000 }, async (_, tool, args) => {
    const file = join(ROOT, 'node_modules', '.bin', tool);
    const output = await promisify(execFile)(file, args, { cwd: ROOT }).then(
      () => '',
      (error: { readonly stdout: string; readonly stderr: string }) => `${error.stdout}${error.stderr}`,
    );
    expect(output).toBe('');
  });
});
