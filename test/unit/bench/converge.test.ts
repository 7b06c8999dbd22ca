import { describe, expect, it } from 'vitest';
import { parseProcessorMs } from '../../bench/processor-time.ts';
import { parseRouteTimes, roundMs } from '../../bench/route-watch.ts';

const atMs = Date.UTC(2026, 10, 30, 8, 22, 43);
const log = [
  '[2026-11-30T08:22:43.000500] [nsid 1]10.128.0.0/24 via 10.128.0.0 dev if4 proto 84 onlink ',
  '[2026-11-30T08:22:43.001750] [nsid 2]10.128.0.0/24 via 10.128.0.0 dev if4 proto 84 onlink ',
  '[2026-11-30T08:22:43.900000] [nsid 2]Deleted 10.128.0.0/24 via 10.128.0.0 dev if4 proto 84 onlink ',
  '[2026-11-30T08:22:43.950000] [nsid 2]10.128.0.0/24 via 10.128.0.0 dev if4 proto 84 onlink ',
  '[2026-11-30T08:22:44.000250] [nsid 1]10.128.1.0/24 via 10.128.1.0 dev if4 proto 84 onlink ',
  '[2026-11-30T08:22:44.100000] [nsid 2]local 10.128.1.0 dev if4 table local proto kernel scope host ',
  '[2026-11-30T08:22:44.200000] 10.128.1.0/24 via 10.128.1.0 dev eth0 ',
  '[2026-11-30T08:22:44.3',
].join('\n');

describe('the times of routes', () => {
  const times = parseRouteTimes(log);

  it('the times of routes are the first times at which each namespace had the route', () => {
    const plain = [...times].map(([subnet, byNamespace]) => [
      subnet,
      [...byNamespace].map(([nsid, ms]) => [nsid, ms - atMs]),
    ]);
    expect(plain).toEqual([
      [
        '10.128.0.0/24',
        [
          ['1', 0.5],
          ['2', 1.75],
        ],
      ],
      ['10.128.1.0/24', [['1', 1_000.25]]],
    ]);
  });

  it.each([
    ['the last host', ['10.128.0.0/24'], 2, 2.75],
    ['the last of several routes', ['10.128.0.0/24', '10.128.1.0/24'], 2, undefined],
    ['a subnet that nobody routes', ['10.128.9.0/24'], 2, undefined],
    ['a host that is missing', ['10.128.0.0/24'], 3, undefined],
  ])('the times of routes give the time until %s', (_, subnets, hosts, expected) => {
    expect(roundMs(times, { subnets, sentMs: atMs - 1, answersMs: [] }, hosts)).toBe(expected);
  });

  it('the time of a burst is the time until its last route', () => {
    const one = parseRouteTimes(log.replaceAll('nsid 2', 'nsid 1'));
    expect(
      roundMs(one, { subnets: ['10.128.1.0/24', '10.128.0.0/24'], sentMs: atMs, answersMs: [] }, 1),
    ).toBe(1_000.25);
  });
});

describe('the processor time of a process', () => {
  it('processor time is user and system time for any program name', () => {
    const stat = '42 (node) 1 (x)) S 1 42 42 0 -1 4194304 900 0 7 0 123 45 678 910 20 0 11 0 5000 1000 200';
    expect(parseProcessorMs(stat)).toBe(1_680);
  });
});
