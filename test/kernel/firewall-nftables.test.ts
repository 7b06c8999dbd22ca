// The nftables applier.
import { createNftablesFirewall } from '../../agent/firewall/nftables.ts';
import { describeFirewall } from './firewall-suite.ts';

const TABLE = ['ip', 'flannel-ipv4'] as const;

const script = (text: string): readonly [string, ...string[]] => ['sh', '-ec', text];

// nft names a rule by the handle that the kernel assigned.
const handleOf = (chain: string, nth: number): string =>
  `$(nft -a list chain ${TABLE.join(' ')} ${chain} | grep comment | sed -n '${nth}s/.*handle //p')`;

const deleteRule = (chain: string, nth: number): string =>
  `nft delete rule ${TABLE.join(' ')} ${chain} handle ${handleOf(chain, nth)}`;

const SECOND_RULE = `ip daddr 10.5.0.0/16 accept comment '"flanneld forward"'`;

describeFirewall({
  title: 'firewall by nft',
  programs: ['nft'],
  create: (exec) => createNftablesFirewall({ exec }),
  prepare: async (ns) => {
    const commands = [
      'add table ip mine',
      'add chain ip mine forward { type filter hook forward priority 10; policy accept; }',
      'add set ip mine blocked { type ipv4_addr; elements = { 192.0.2.1 }; }',
      'add rule ip mine forward ip saddr @blocked counter drop comment "flanneld, not"',
      'add table ip6 flannel-ipv4',
      'add table inet flannel-ipv4',
    ];
    for (const command of commands) await ns.exec('nft', command);
  },
  list: (ns) => ns.exec('nft', '-s', 'list', 'ruleset'),
  golden: `table ip mine {
	set blocked {
		type ipv4_addr
		elements = { 192.0.2.1 }
	}

	chain forward {
		type filter hook forward priority filter + 10; policy accept;
		ip saddr @blocked counter drop comment "flanneld, not"
	}
}
table ip6 flannel-ipv4 {
}
table inet flannel-ipv4 {
}
table ip flannel-ipv4 {
	chain postrtg {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x00004000 == 0x00004000 return comment "flanneld masq"
		ip saddr 10.5.34.0/24 ip daddr 10.5.0.0/16 return comment "flanneld masq"
		ip saddr 10.5.0.0/16 ip daddr 10.5.34.0/24 return comment "flanneld masq"
		ip saddr != 10.5.0.0/16 ip daddr 10.5.34.0/24 return comment "flanneld masq"
		ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random comment "flanneld masq"
		ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random comment "flanneld masq"
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ip saddr 10.5.0.0/16 accept comment "flanneld forward"
		ip daddr 10.5.0.0/16 accept comment "flanneld forward"
	}
}
`,
  faults: {
    'a deleted rule': [script(deleteRule('postrtg', 3))],
    'a changed rule': [
      script(
        `nft replace rule ${TABLE.join(' ')} forward handle ${handleOf('forward', 1)} ip saddr 10.6.0.0/16 accept`,
      ),
    ],
    'a rule of ours, twice': [script(`nft add rule ${TABLE.join(' ')} forward ${SECOND_RULE}`)],
    'our rules in another order': [
      script(deleteRule('forward', 2)),
      script(`nft insert rule ${TABLE.join(' ')} forward ${SECOND_RULE}`),
    ],
    'a deleted table': [['nft', 'delete', 'table', ...TABLE]],
    'a flushed chain': [['nft', 'flush', 'chain', ...TABLE, 'forward']],
    'a deleted chain': [
      ['nft', 'flush', 'chain', ...TABLE, 'postrtg'],
      ['nft', 'delete', 'chain', ...TABLE, 'postrtg'],
    ],
    'a rule before ours': [['nft', 'insert', 'rule', ...TABLE, 'forward', 'drop']],
    'a chain that drops beside ours': [
      ['nft', 'add chain ip flannel-ipv4 more { type filter hook forward priority -5; policy drop; }'],
    ],
    'a policy of drop': [['nft', 'add chain ip flannel-ipv4 forward { policy drop; }']],
    'a dormant table': [['nft', 'add table ip flannel-ipv4 { flags dormant; }']],
    'a set in our table': [['nft', 'add set ip flannel-ipv4 s { type ipv4_addr; }']],
  },
});
