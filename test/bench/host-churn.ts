// A program: makes and removes links, addresses, neighbours, routes and firewall rules of other programs in its network
// namespace, at a fixed rate, until it is stopped.
//
//     node host-churn.js CHANGES_A_SECOND PROGRAM          prints `changing`
//
// PROGRAM is the iptables to change rules by, or nft.
import { spawn } from 'node:child_process';
import { systemClock } from '../../agent/base/clock.ts';
import { exec } from '../../agent/base/exec.ts';

/** Objects that exist at a time. */
const ALIVE = 5;
const CHAIN = 'CHURN';

const [perSecond = '1', program = 'iptables'] = process.argv.slice(2);

// One process for all changes of the network: a new one each time would cost more than the changes.
const ip = spawn('ip', ['-force', '-batch', '-'], { stdio: ['pipe', 'inherit', 'inherit'] });

function changeNetwork(turn: number): void {
  const [made, removed] = [turn, turn - ALIVE].map((number) => number & 0xff);
  const lines = [
    `link add churn${made} type veth peer name churned${made}`,
    `address add 10.203.0.${made}/32 dev churn${made}`,
    `link set churn${made} up`,
    `neigh add 10.203.1.${made} lladdr 02:00:00:00:00:05 nud permanent dev churn${made}`,
    `route add 10.203.2.${made}/32 dev churn${made}`,
  ];
  if (turn >= ALIVE) lines.push(`link delete churn${removed}`);
  ip.stdin.write(`${lines.join('\n')}\n`);
}

async function changeRules(turn: number): Promise<void> {
  const source = `192.0.2.${turn & 0xff}`;
  const commands =
    program === 'nft'
      ? [
          ['add', 'rule', 'ip', 'other', 'churn', 'ip', 'saddr', source, 'drop'],
          ...(turn % ALIVE === 0 ? [['flush', 'chain', 'ip', 'other', 'churn']] : []),
        ]
      : [
          ['-w', '5', '-A', CHAIN, '-s', source, '-j', 'DROP'],
          ...(turn % ALIVE === 0 ? [['-w', '5', '-F', CHAIN]] : []),
        ];
  for (const args of commands) await exec(program, args);
}

if (program === 'nft') await exec(program, ['add table ip other; add chain ip other churn']);
else await exec(program, ['-N', CHAIN]);
process.stdout.write('changing\n');
const fromMs = systemClock.monotonicMs();
for (let turn = 0; ; turn++) {
  changeNetwork(turn);
  await changeRules(turn);
  const dueMs = fromMs + ((turn + 1) * 1_000) / Number(perSecond);
  await systemClock.sleep(Math.max(1, dueMs - systemClock.monotonicMs()));
}
