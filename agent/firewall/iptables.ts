// The rules in chains of iptables: which list has which chain, and where.
import type { Firewall, FirewallRules } from '../model/firewall.ts';
import { createIptablesChains, type IptablesOptions, mayUndo } from './iptables-chains.ts';
import { formatIptablesRule, type OwnTable } from './iptables-text.ts';

export interface IptablesFirewallOptions extends IptablesOptions {
  /** Keep source addresses too: where nftables, which does it better, is not there. Default: false. */
  readonly keepsSource?: boolean;
}

/** A firewall in the iptables chains FLANNEL-POSTRTG (nat) and FLANNEL-FWD (filter), and in chains of our own. */
export function createIptablesFirewall(options: IptablesFirewallOptions): Firewall {
  const chains = createIptablesChains(options);
  const { keepsSource = false } = options;
  return {
    mode: 'iptables',
    isAnnounced: () => chains.isOnNftables,
    isConcerned: (change) => OWN_TABLES.some((own) => mayUndo(change, own)),
    async ensure(rules, signal) {
      const hasRandomFully = rules.randomFully && supportsRandomFully(await chains.readVersion(signal));
      const source = keepsSource ? rules.source : [];
      const tables = ownTables({ ...rules, source, randomFully: hasRandomFully });
      return (await chains.ensure(tables, signal)) ? 'repaired' : 'present';
    },
    remove: (signal) => chains.remove(OWN_TABLES, signal),
  };
}

// Flannel's chain for forwarded packets accepts all of them. Where some are left to others, ours comes before it: it
// returns those, and calls flannel's for the rest. An agent of flannel that takes over adds its own jump behind the
// rules of others, so these packets stay theirs.
function ownTables({ postrouting, forward, local, source, randomFully }: FirewallRules): readonly OwnTable[] {
  const [nat, filter] = OWN_TABLES;
  const [keep, masquerade] = nat.chains;
  const [leave, accept] = filter.chains;
  const format = (list: FirewallRules['forward']): readonly string[] =>
    list.map((rule) => formatIptablesRule(rule, randomFully));
  const isInner = local.length > 0;
  const left = isInner ? [...format(local), `-j ${accept.name}`] : [];
  return [
    {
      ...nat,
      chains: [
        { ...keep, rules: format(source) },
        { ...masquerade, rules: format(postrouting) },
      ],
    },
    {
      ...filter,
      chains: [
        { ...leave, rules: left },
        { ...accept, rules: format(forward), isInner },
      ],
    },
  ];
}

const OWN_TABLES = [
  {
    table: 'nat',
    parent: 'POSTROUTING',
    chains: [
      { name: 'TWILL-SOURCE', comment: 'twill source', rules: [] },
      { name: 'FLANNEL-POSTRTG', comment: 'flanneld masq', rules: [] },
    ],
  },
  {
    table: 'filter',
    parent: 'FORWARD',
    chains: [
      { name: 'TWILL-FORWARD', comment: 'twill forward', rules: [] },
      { name: 'FLANNEL-FWD', comment: 'flanneld forward', rules: [] },
    ],
  },
] as const satisfies readonly OwnTable[];

/** The names of our chains and of those that call them. */
export const IPTABLES_CHAINS: readonly string[] = OWN_TABLES.flatMap(({ parent, chains }) => [
  parent,
  ...chains.map(({ name }) => name),
]);

/** Whether the output of `iptables --version` names a release with `--random-fully`: 1.6.2 or later. */
export function supportsRandomFully(version: string): boolean {
  const [, major, minor, patch] = /v(\d+)\.(\d+)(?:\.(\d+))?/.exec(version) ?? [];
  if (major === undefined) return false;
  const number = Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch ?? 0);
  return number >= 1_006_002;
}
