import { describe, expect, it } from 'vitest';
import { formatTunnelTable, TUNNEL_CHAINS } from '../../../agent/firewall/tunnel-table.ts';
import type { TunnelRules } from '../../../agent/model/tunnel-filter.ts';
import { prefix } from '../../support/build.ts';

const VXLAN: TunnelRules = {
  tunnel: { port: 8472, device: { name: 'flannel.1', vni: 1 } },
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.3.0/24'),
  addresses: ['10.0.0.3', '203.0.113.3'],
};

const rulesOf = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('    '))
    .map((line) => line.trim());

describe('the table of the tunnel filter', () => {
  it('is replaced as a whole', () => {
    const text = formatTunnelTable(VXLAN, ['10.0.0.3', '10.0.0.4'], 600);
    expect(text.split('\n').slice(0, 5)).toEqual([
      'add table ip twill-tunnel',
      'delete table ip twill-tunnel',
      'table ip twill-tunnel {',
      '  set nodes { type ipv4_addr; elements = { 10.0.0.3, 10.0.0.4 }; }',
      '  set guarded { type inet_service; timeout 600s; elements = { 8472 }; }',
    ]);
    expect([...text.matchAll(/chain (\S+)/g)].map(([, name]) => name)).toEqual(TUNNEL_CHAINS);
  });

  it('lets vxlan packets of nodes in at their address, and out by the kernel or by root', () => {
    expect(rulesOf(formatTunnelTable(VXLAN, [], 600))).toEqual([
      'udp dport 8472 ip saddr != @nodes @th,96,24 1 udp dport @guarded drop',
      'udp dport 8472 ip daddr != { 10.0.0.3, 203.0.113.3 } @th,96,24 1 udp dport @guarded drop',
      'udp dport 8472 ip saddr 10.5.0.0/16 ip daddr @nodes @th,96,24 1 udp dport @guarded drop',
      'udp dport 8472 meta mark & 0x00002000 == 0x00002000 meta mark set meta mark & 0xffffdfff accept',
      'udp dport 8472 meta skuid != 0 ip daddr @nodes @th,96,24 1 udp dport @guarded drop',
      'oifname "flannel.1" meta skuid != 0 meta mark set meta mark | 0x00002000',
    ]);
  });

  it('lets udp packets of nodes in, and those of no masqueraded program out', () => {
    const rules = {
      ...VXLAN,
      tunnel: { port: 8285, device: undefined },
      addresses: ['10.0.0.3', '10.0.0.3'],
    };
    expect(rulesOf(formatTunnelTable(rules, [], 600))).toEqual([
      'udp dport 8285 ip saddr != @nodes ip daddr { 10.0.0.3 } udp dport @guarded drop',
      'udp dport 8285 ip saddr 10.5.0.0/16 ip daddr @nodes udp dport @guarded drop',
      'udp dport 8285 ip saddr 10.5.3.0/24 ip daddr @nodes udp dport @guarded drop',
    ]);
  });
});
