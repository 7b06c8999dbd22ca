import { describe, expect, it } from 'vitest';
import {
  FLANNEL_TABLE,
  formatNftReplacement,
  type NftEntry,
  parseNftListing,
  planFlannelTable,
  sameNftTable,
} from '../../../agent/firewall/nftables-table.ts';
import { planFirewall } from '../../../agent/firewall/rules.ts';

const rules = planFirewall({
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
  ipMasq: true,
  forwardRules: true,
  randomFully: true,
  dockerDirect: true,
  links: ['flannel.1'],
  bridges: [],
});
const wanted = planFlannelTable(rules);

/** The entries as nft lists them: with a header and with handles, all chains first. */
function listing(entries: readonly NftEntry[]): string {
  const withHandle = (entry: NftEntry, handle: number): object =>
    Object.fromEntries(
      Object.entries(entry).map(([kind, object]) => [kind, { ...(object as object), handle }]),
    );
  const inOrder = ['table', 'chain', 'rule', 'set'].flatMap((kind) =>
    entries.filter((entry) => kind in entry),
  );
  return JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6' } }, ...inOrder.map(withHandle)] });
}

const listed = (entries: readonly NftEntry[]): readonly NftEntry[] => parseNftListing(listing(entries));

describe('sameNftTable', () => {
  it('sameNftTable accepts the listing of nft as the same table', () => {
    expect(sameNftTable(listed(wanted), wanted)).toBe(true);
  });

  it('sameNftTable accepts a list of flags as the same flags', () => {
    const text = listing(wanted).replaceAll('"fully-random"', '["fully-random"]');
    expect(sameNftTable(parseNftListing(text), wanted)).toBe(true);
  });

  const replaced = (from: string, to: string): readonly NftEntry[] =>
    parseNftListing(listing(wanted).replace(from, to));
  it.each([
    { change: 'a missing rule', found: listed(wanted.filter((_, i) => i !== 3)) },
    { change: 'a rule twice', found: listed([...wanted, ...wanted.slice(-1)]) },
    { change: 'rules of a chain in another order', found: listed(wanted.toReversed()) },
    { change: 'another prefix', found: replaced('10.5.34.0', '10.5.35.0') },
    { change: 'another verdict', found: replaced('"accept":null', '"drop":null') },
    { change: 'another priority', found: replaced('"prio":100', '"prio":101') },
    { change: 'the policy drop', found: replaced('"policy":"accept"', '"policy":"drop"') },
    {
      change: 'a dormant table',
      found: replaced('"name":"flannel-ipv4"', '"name":"flannel-ipv4","flags":"x"'),
    },
    {
      change: 'a foreign set',
      found: listed([...wanted, { set: { name: 'mine', table: 'flannel-ipv4' } }]),
    },
    { change: 'no table', found: [] },
  ])('sameNftTable notices $change', ({ found }) => {
    expect(sameNftTable(found, wanted)).toBe(false);
  });
});

describe('planFlannelTable', () => {
  it('planFlannelTable has no chain without rules, and no table without chains', () => {
    const names = (entries: readonly NftEntry[]): unknown =>
      entries.filter((entry) => !('rule' in entry)).map((entry) => Object.values(entry)[0]);
    expect(names(planFlannelTable({ ...rules, postrouting: [] }))).toMatchObject([
      { name: 'flannel-ipv4' },
      { name: 'forward' },
    ]);
    expect(planFlannelTable({ ...rules, postrouting: [], forward: [] })).toEqual([]);
  });
});

describe('formatNftReplacement', () => {
  it('formatNftReplacement adds and deletes the table before it makes the new one, so that the table may be missing', () => {
    const { nftables } = JSON.parse(formatNftReplacement(FLANNEL_TABLE, wanted)) as {
      nftables: readonly object[];
    };
    expect(nftables.map((command) => Object.keys(command)[0]).slice(0, 3)).toEqual(['add', 'delete', 'add']);
    expect(nftables).toHaveLength(2 + wanted.length);
  });
});

describe('parseNftListing', () => {
  it.each(['', '{}', 'Error: JSON support not compiled-in', '{"nftables":[1]}'])(
    'parseNftListing refuses %j',
    (text) => {
      expect(() => parseNftListing(text)).toThrow(/^listing of nft: /);
    },
  );
});
