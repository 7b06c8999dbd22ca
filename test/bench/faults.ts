// The healing time of each fault of the table. Meanwhile a container pings another every 10 ms, and the kernels are
// compared with the leases again and again.
import { parseArgs } from 'node:util';
import { BedKeeper } from '../faults/bed-keeper.ts';
import { type Fault, reasonOf } from '../faults/fault.ts';
import { FAULTS, groupFaults } from '../faults/table.ts';
import { formatMs, formatTable, formatVerdict, median, print } from '../lab/table.ts';

export const usage = `npm run bench -- faults [--repeat N] [--only TEXT]

  --repeat N    how often each fault happens on each backend (default 5)
  --only TEXT   only faults with this in their name
`;

/** The result of all rounds of one fault. */
interface Result {
  readonly fault: Fault;
  readonly times: number[];
  notesAreMet: boolean;
}

/** Time after the required one until a fault counts as not healed. */
const LONGEST_MS = 30_000;

/** Runs the benchmark. Prints its table, and the reason of each failure. */
export async function run(args: readonly string[]): Promise<void> {
  const { only, repeat } = readOptions(args);
  const groups = groupFaults(FAULTS.filter(({ name }) => name.includes(only)));
  if (groups.length === 0) throw new Error(`--only: no fault has "${only}" in its name`);
  print(`\nFrom a fault until packets flow and all kernels are as the leases say, ${repeat} times each\n\n`);
  const rows: string[][] = [];
  const notes: string[] = [];
  for (const { faults, ...group } of groups) {
    const results = faults.map((fault): Result => ({ fault, times: [], notesAreMet: true }));
    for (let round = 0; round < repeat; round += 1) {
      // New agents for each round: an agent that saw one fault often takes it for a fight with another program.
      await using keeper = new BedKeeper(group);
      for (const result of results) {
        const tell = (text: string): void =>
          void notes.push(`  ${group.backend}: ${result.fault.name}: ${text}\n`);
        await measureOnce(keeper, result, tell);
      }
    }
    rows.push(...results.map((result) => [result.fault.name, group.backend, ...formatTimes(result, repeat)]));
  }
  const columns = [
    ...['fault', 'backend'].map((title) => ({ title, align: 'left' as const })),
    ...['median', 'lowest', 'highest'].map((title) => ({ title })),
    { title: 'required', align: 'left' as const },
  ];
  print(`${formatTable(columns, rows)}\n${notes.join('')}`);
}

async function measureOnce(keeper: BedKeeper, result: Result, tell: (text: string) => void): Promise<void> {
  try {
    const { healedMs, note } = await keeper.measure(result.fault, result.fault.requiredMs + LONGEST_MS);
    result.times.push(healedMs);
    if (note === undefined) return;
    result.notesAreMet &&= note.isMet;
    tell(note.text);
  } catch (error) {
    tell(reasonOf(error));
  }
}

function readOptions(args: readonly string[]): { only: string; repeat: number } {
  const { values } = parseArgs({
    args: [...args],
    options: { only: { type: 'string', default: '' }, repeat: { type: 'string', default: '5' } },
  });
  if (!/^[1-9]\d{0,2}$/.test(values.repeat))
    throw new Error(`--repeat: must be a whole number from 1 to 999, is "${values.repeat}"`);
  return { only: values.only, repeat: Number(values.repeat) };
}

function formatTimes({ fault, times, notesAreMet }: Result, repeat: number): string[] {
  const { requiredMs } = fault;
  const isMet = notesAreMet && times.length === repeat && Math.max(...times) <= requiredMs;
  const verdict = formatVerdict(formatMs(requiredMs), isMet).replace(/met$/, 'ok');
  const failed = repeat - times.length;
  return [
    ...(times.length === 0
      ? ['', '', '']
      : [median(times), Math.min(...times), Math.max(...times)].map(formatMs)),
    failed === 0 ? verdict : `${verdict}, ${failed} of ${repeat} not healed`,
  ];
}
