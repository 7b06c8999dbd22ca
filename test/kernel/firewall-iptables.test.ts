// The iptables applier with both backends of the program: nf_tables and legacy.
import { createIptablesFirewall } from '../../agent/firewall/iptables.ts';
import { describeFirewall } from './firewall-suite.ts';

for (const program of ['iptables-nft', 'iptables-legacy']) {
  describeFirewall({
    title: `firewall by ${program}`,
    programs: [program, `${program}-save`, `${program}-restore`, 'nft'],
    create: (exec) => createIptablesFirewall({ exec, program }),
    prepare: async (ns) => {
      const rules = [
        ['filter', '-P', 'FORWARD', 'DROP'],
        ['filter', '-N', 'DOCKER-USER'],
        ['filter', '-A', 'DOCKER-USER', '-j', 'RETURN'],
        ['filter', '-A', 'FORWARD', '-j', 'DOCKER-USER'],
        ['filter', '-A', 'FORWARD', '-i', 'docker0', '-j', 'DROP'],
        ['nat', '-A', 'POSTROUTING', '-s', '172.17.0.0/16', '!', '-o', 'docker0', '-j', 'MASQUERADE'],
        ['nat', '-A', 'PREROUTING', '-m', 'comment', '--comment', 'to -j FLANNEL-FWD', '-j', 'ACCEPT'],
        ['mangle', '-A', 'FORWARD', '-j', 'MARK', '--set-mark', '7'],
      ] as const;
      for (const [table, ...args] of rules) await ns.exec(program, '-t', table, ...args);
    },
    list: async (ns) => {
      const tables = await Promise.all(
        ['nat', 'filter', 'mangle'].map((table) => ns.exec(`${program}-save`, '-t', table)),
      );
      return tables
        .join('')
        .replaceAll(/^#.*\n/gm, '')
        .replaceAll(/\[\d+:\d+\]/g, '[0:0]');
    },
    golden: `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:FLANNEL-POSTRTG - [0:0]
-A PREROUTING -m comment --comment "to -j FLANNEL-FWD" -j ACCEPT
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.34.0/24 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.34.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER-USER - [0:0]
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FORWARD -j DOCKER-USER
-A FORWARD -i docker0 -j DROP
-A DOCKER-USER -j RETURN
-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A FORWARD -j MARK --set-xmark 0x7/0xffffffff
COMMIT
`,
    faults: {
      'a rule deleted': [[program, '-t', 'nat', '-D', 'FLANNEL-POSTRTG', '3']],
      'both chains flushed': [
        [program, '-t', 'nat', '-F', 'FLANNEL-POSTRTG'],
        [program, '-F', 'FLANNEL-FWD'],
      ],
      'a rule appended': [[program, '-A', 'FLANNEL-FWD', '-j', 'DROP']],
      'a rule changed': [[program, '-R', 'FLANNEL-FWD', '1', '-s', '10.6.0.0/16', '-j', 'ACCEPT']],
      'jump, chain and all deleted': [
        [program, '-D', 'FORWARD', '1'],
        [program, '-F', 'FLANNEL-FWD'],
        [program, '-X', 'FLANNEL-FWD'],
      ],
      'the jump moved behind a rule that drops, as flannel has it': [
        [program, '-D', 'FORWARD', '1'],
        [program, '-A', 'FORWARD', '-m', 'comment', '--comment', 'flanneld forward', '-j', 'FLANNEL-FWD'],
      ],
      'a second jump': [[program, '-t', 'nat', '-A', 'POSTROUTING', '-j', 'FLANNEL-POSTRTG']],
      'jumps in both tables gone': [
        [program, '-D', 'FORWARD', '1'],
        [program, '-t', 'nat', '-D', 'POSTROUTING', '1'],
      ],
    },
  });
}
