// `npm run metrics`: writes README's table of metrics anew from the table in the code.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, setUp } from './setup.mjs';

await setUp([]);
const { withTable } = await import('../dist/lab/test/lab/metrics-table.js');
const page = join(ROOT, 'README.md');
writeFileSync(page, withTable(readFileSync(page, 'utf8')));
