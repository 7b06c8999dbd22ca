// Changes by other programs to the firewall of the first host.
import type { Namespace } from '../../lab/namespace.ts';
import type { FaultBed } from '../bed.ts';
import type { Fault } from '../fault.ts';

const SECOND = 1_000;

/** Our rules, as the kernel prints them. */
async function ourRules(bed: FaultBed): Promise<string> {
  const list = async (table: string): Promise<string> =>
    (await bed.h1.exec(['nft', '--stateless', 'list', 'table', 'ip', table])).stdout;
  const containers = await list('twill-containers');
  if (bed.kind === 'nftables') return containers + (await list('flannel-ipv4'));
  const text = await bed.h1.run(['iptables-save']);
  const lines = text.split('\n').filter((line) => line.includes('FLANNEL'));
  return [containers, ...lines.map((line) => line.replaceAll(/\[\d+:\d+\]/g, ''))].join('\n');
}

/** Changes the rules, then waits until ours are as before. */
function breakRulesBy(how: (h1: Namespace) => Promise<unknown>): Fault['inject'] {
  return async (bed) => {
    const whole = await ourRules(bed);
    if (!whole.includes('10.5.0.0/16')) throw new Error(`there are no rules to break: ${whole}`);
    await how(bed.h1);
    const wrong = async (): Promise<string | undefined> =>
      (await ourRules(bed)) === whole ? undefined : 'the rules are not as they were';
    return { wrong };
  };
}

/** The same by commands, one a line. */
function breakRules(...lines: readonly string[]): Fault['inject'] {
  return breakRulesBy(async (h1) => {
    for (const line of lines) await h1.run(line.split(' '));
  });
}

/** A rule before ours in FORWARD: ours must become the first again. */
function putBefore(target: string): Fault['inject'] {
  return async ({ h1 }) => {
    await h1.run(['iptables', '-I', 'FORWARD', '1', '-j', target]);
    const wrong = async (): Promise<string | undefined> => {
      const [, first = ''] = (await h1.run(['iptables', '-S', 'FORWARD'])).split('\n');
      return first.includes('FLANNEL-FWD') ? undefined : `first in FORWARD: ${first}`;
    };
    const undo = async (): Promise<void> => {
      await h1.exec(['iptables', '-D', 'FORWARD', '-j', target]);
    };
    return { wrong, undo };
  };
}

/** Another table drops packets that ours accepts. No rule of ours can change that, so the agent must name it. */
async function dropElsewhere(bed: FaultBed): Promise<void> {
  const { h1 } = bed;
  await h1.run(['nft', 'add table ip strict']);
  await h1.run(['nft', 'add chain ip strict narrow { type filter hook forward priority 10; policy drop; }']);
  try {
    const reason = await bed.waitUnready(1, 10_000);
    const log = await bed.agent(1).log();
    for (const text of [reason, log]) {
      if (!/\bstrict\b/.test(text) || !/\bnarrow\b/.test(text))
        throw new Error(`neither table nor chain is named: ${text.slice(-300)}`);
    }
  } finally {
    await h1.run(['nft', 'delete table ip strict']);
  }
}

export const FIREWALL_FAULTS: readonly Fault[] = [
  {
    name: 'all rules of the filter table are flushed',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: breakRules('iptables -F'),
  },
  {
    name: 'all rules of the nat table are flushed',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: breakRules('iptables -t nat -F'),
  },
  {
    name: 'the jump to our rules is deleted',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: breakRules('iptables -D FORWARD 1', 'iptables -t nat -D POSTROUTING 1'),
  },
  {
    name: 'one of our rules is deleted',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: breakRules('iptables -t nat -D FLANNEL-POSTRTG 2'),
  },
  {
    name: 'our chains are flushed and deleted',
    backends: ['host-gw'],
    requiredMs: SECOND,
    // All in one transaction: a chain cannot be deleted if a jump to it returns in between.
    inject: breakRulesBy((h1) => h1.run(['iptables-restore'], { input: '*filter\nCOMMIT\n*nat\nCOMMIT\n' })),
  },
  {
    name: 'the policy of FORWARD becomes DROP, and its rules are flushed',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: breakRules('iptables -P FORWARD DROP', 'iptables -F FORWARD'),
  },
  {
    name: 'our rules for source addresses are flushed',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: breakRules('nft flush chain ip twill-containers twill-source'),
  },
  {
    name: 'the whole ruleset is flushed',
    backends: ['host-gw'],
    bed: 'nftables',
    requiredMs: SECOND,
    inject: breakRules('nft flush ruleset'),
  },
  {
    name: 'our table is deleted',
    backends: ['host-gw'],
    bed: 'nftables',
    requiredMs: SECOND,
    inject: breakRules('nft delete table ip flannel-ipv4'),
  },
];

export const FOREIGN_RULES: readonly Fault[] = [
  {
    name: 'a REJECT rule is put before ours',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: putBefore('REJECT'),
  },
  {
    name: 'a DROP rule is put before ours',
    backends: ['host-gw'],
    requiredMs: SECOND,
    inject: putBefore('DROP'),
  },
  {
    name: "another table's chain drops what is forwarded, and goes",
    backends: ['host-gw'],
    bed: 'nftables',
    requiredMs: SECOND,
    lasts: true,
    inject: dropElsewhere,
  },
  {
    name: "another table's chain drops what is forwarded beside iptables, and goes",
    backends: ['host-gw'],
    requiredMs: SECOND,
    lasts: true,
    inject: dropElsewhere,
  },
];
