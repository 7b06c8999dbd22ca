// The nftables applier.
import { createNftablesFirewall } from '../../agent/firewall/nftables.ts';
import { describeFirewall } from './firewall-suite.ts';

const TABLE = ['ip', 'flannel-ipv4'] as const;

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
    'the table deleted': [['nft', 'delete', 'table', ...TABLE]],
    'a chain flushed': [['nft', 'flush', 'chain', ...TABLE, 'forward']],
    'a chain deleted': [
      ['nft', 'flush', 'chain', ...TABLE, 'postrtg'],
      ['nft', 'delete', 'chain', ...TABLE, 'postrtg'],
    ],
    'a rule put before ours': [['nft', 'insert', 'rule', ...TABLE, 'forward', 'drop']],
    'a chain that drops put beside ours': [
      ['nft', 'add chain ip flannel-ipv4 more { type filter hook forward priority -5; policy drop; }'],
    ],
    'the policy set to drop': [['nft', 'add chain ip flannel-ipv4 forward { policy drop; }']],
    'the table put to sleep': [['nft', 'add table ip flannel-ipv4 { flags dormant; }']],
    'a set put into our table': [['nft', 'add set ip flannel-ipv4 s { type ipv4_addr; }']],
  },
});
