import { describe, expect, it } from 'vitest';
import { parsePing } from '../../lab/ping.ts';
import { formatMatrix } from '../../lab/screen.ts';

const ALL_ANSWERED = `PING 10.5.2.2 (10.5.2.2) 56(84) bytes of data.
64 bytes from 10.5.2.2: icmp_seq=1 ttl=62 time=0.091 ms

--- 10.5.2.2 ping statistics ---
3 packets transmitted, 3 received, 0% packet loss, time 4ms
rtt min/avg/max/mdev = 0.031/0.054/0.091/0.026 ms
`;
const NONE_ANSWERED = `PING 10.5.2.9 (10.5.2.9) 56(84) bytes of data.
From 10.5.1.1 icmp_seq=1 Destination Host Unreachable

--- 10.5.2.9 ping statistics ---
2 packets transmitted, 0 received, +1 errors, 100% packet loss, time 1001ms
`;

describe('the totals of ping', () => {
  it.each([
    ['all answered', ALL_ANSWERED, 3, 3, 0.054],
    ['none answered', NONE_ANSWERED, 2, 0, undefined],
    ['no totals at all', 'ping: connect: Network is unreachable\n', 0, 0, undefined],
  ])('%s', (_, text, sent, received, averageMs) => {
    expect(parsePing(text)).toEqual({ sent, received, averageMs, text });
  });
});

describe('the table of times', () => {
  const answer = parsePing(ALL_ANSWERED);
  const silence = parsePing(NONE_ANSWERED);
  const partly = { ...answer, received: 2 };

  it('the table of ping times has a row and a column for each container, and names lost packets', () => {
    expect(
      formatMatrix(
        ['c1', 'c2', 'c3'],
        [
          [undefined, answer, silence],
          [answer, undefined, partly],
          [answer, answer, undefined],
        ],
      ),
    ).toEqual([
      '        c1      c2      c3',
      'c1       ·   0.054    LOST',
      'c2   0.054       ·    LOST',
      'c3   0.054   0.054       ·',
    ]);
  });

  it('the table of ping times stays within a terminal for twenty containers', () => {
    const names = Array.from({ length: 20 }, (_, index) => `c${index + 1}`);
    const lines = formatMatrix(
      names,
      names.map((_, row) => names.map((__, column) => (row === column ? undefined : answer))),
    );
    expect(lines).toHaveLength(21);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(125);
  });
});
