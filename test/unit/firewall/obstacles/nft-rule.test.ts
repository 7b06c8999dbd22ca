// Rules as several versions of nft list them. The version of this machine is tested in test/kernel.
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../../../agent/base/schema.ts';
import { hasUnclearExtension, mapsIn, parseNftRule } from '../../../../agent/firewall/obstacles/nft-rule.ts';

const parse = (expr: JsonValue, maps: Readonly<Record<string, JsonValue>> = {}, comment?: string) =>
  parseNftRule({ expr, ...(comment === undefined ? {} : { comment }) }, (name) => maps[name]);

const match = (left: JsonValue, right: JsonValue, op = '=='): JsonValue => ({ match: { op, left, right } });
const meta = (key: string): JsonValue => ({ meta: { key } });
const daddr: JsonValue = { payload: { protocol: 'ip', field: 'daddr' } };
const vmap = (key: JsonValue, data: JsonValue): JsonValue => ({ vmap: { key, data } });
const MARK = meta('mark');

describe('parseNftRule', () => {
  it.each([
    ['ip daddr 10.5.34.2 drop', [match(daddr, '10.5.34.2'), { drop: null }], undefined],
    [
      'iifname != docker0 oifname docker0 drop comment x',
      [
        match(meta('iifname'), 'docker0', '!='),
        { counter: { packets: 1, bytes: 9 } },
        match(meta('oifname'), 'docker0'),
        { drop: null },
      ],
      'x',
    ],
    [
      'ip daddr { 10.5.0.0/16, 192.0.2.1-192.0.2.9 } jump sub',
      [
        match(daddr, {
          set: [{ prefix: { addr: '10.5.0.0', len: 16 } }, { range: ['192.0.2.1', '192.0.2.9'] }],
        }),
        { jump: { target: 'sub' } },
      ],
      undefined,
    ],
    [
      'ct state established,related accept',
      [match({ ct: { key: 'state' } }, ['established', 'related'], 'in'), { accept: null }],
      undefined,
    ],
    ['oifname vmap @jumps', [vmap(meta('oifname'), '@jumps')], undefined],
    [
      'conntrack MASQUERADE',
      [{ xt: { type: 'match', name: 'conntrack' } }, { xt: { type: 'target', name: 'MASQUERADE' } }],
      undefined,
    ],
  ])('parseNftRule keeps the text of a rule: %s', (text, expr, comment) => {
    expect(parse(expr as JsonValue, {}, comment).text).toBe(text);
  });

  it('parseNftRule shortens a long text', () => {
    expect(parse([{ drop: null }], {}, 'x'.repeat(10_000)).text).toHaveLength(121);
  });

  it.each([
    ['a bit that is set', { '|': [MARK, 0x100] }, { mask: 0x100, value: 0x100 }],
    ['bits that are cleared', { '&': [MARK, 0xffff_00ff] }, { mask: 0xff00, value: 0 }],
    ['the whole mark', 7, { mask: 0xffff_ffff, value: 7 }],
    ['another bit operation', { '^': [MARK, 1] }, { mask: 0xffff_ffff, value: undefined }],
    ['the mark of the connection', { ct: { key: 'mark' } }, { mask: 0xffff_ffff, value: undefined }],
  ])('parseNftRule knows what changes the mark: %s', (_, value, expected) => {
    expect(parse([{ mangle: { key: MARK, value: value as JsonValue } }]).parts).toEqual([
      { kind: 'mark', ...expected },
    ]);
  });

  const accept = { kind: 'verdict', verdict: 'accept' };
  const unknown = { kind: 'verdict', verdict: 'unknown' };
  const perhaps = { kind: 'test', of: 'constant', isNegated: false, values: [undefined] };
  const docker0 = { kind: 'test', of: 'linkIn', isNegated: false, values: ['docker0'] };
  const mapOf = (...entries: readonly unknown[]) => ({ kind: 'verdict', verdict: 'map', entries });
  it.each([
    [
      'a named one',
      vmap(meta('iifname'), '@m'),
      { m: [['docker0', { accept: null }]] },
      mapOf({ test: docker0, verdict: accept }),
    ],
    ['one without elements', vmap(meta('iifname'), '@m'), { m: [] }, mapOf()],
    ['one that was not read', vmap(meta('iifname'), '@m'), {}, unknown],
    [
      'an element with a counter',
      vmap(meta('iifname'), '@m'),
      { m: [[{ elem: { val: 'docker0', counter: {} } }, { accept: null }]] },
      mapOf({ test: docker0, verdict: accept }),
    ],
    [
      'a key of several parts',
      vmap(
        { concat: [meta('iifname'), daddr] },
        { set: [[{ concat: ['docker0', '10.5.0.1'] }, { accept: null }]] },
      ),
      {},
      mapOf({ test: perhaps, verdict: accept }),
    ],
    [
      'an element in another form',
      vmap(meta('iifname'), { set: ['docker0', ['eth0', { something: null }]] }),
      {},
      mapOf(
        { test: perhaps, verdict: unknown },
        { test: { ...docker0, values: ['eth0'] }, verdict: unknown },
      ),
    ],
    ['another form', { vmap: { key: meta('iifname') } }, {}, unknown],
  ])('parseNftRule reads a map: %s', (_, statement, maps, expected) => {
    expect(parse([statement], maps as Readonly<Record<string, JsonValue>>).parts).toEqual([expected]);
  });

  it('mapsIn names the maps whose key is evaluated', () => {
    const rules = [
      { expr: [vmap(meta('iifname'), '@in')] },
      { expr: [vmap(meta('iifname'), '@in'), vmap(meta('oifname'), { set: [] })] },
      { expr: [vmap({ concat: [meta('iifname'), daddr] }, '@services')] },
      { expr: [vmap(meta('l4proto'), '@protocols')] },
      'no rule',
    ];
    expect(mapsIn(rules)).toEqual(['in']);
  });

  it.each([
    ['a comment', { type: 'match', name: 'comment' }, false],
    ['a target that is known by its name', { type: 'target', name: 'MASQUERADE' }, false],
    ['a match', { type: 'match', name: 'conntrack' }, true],
    ['a target with options', { type: 'target', name: 'MARK' }, true],
    ['a target that is not known', { type: 'target', name: 'SYNPROXY' }, true],
  ])('hasUnclearExtension tells where the name is not enough: %s', (_, xt, expected) => {
    expect(hasUnclearExtension({ expr: [{ xt }] })).toBe(expected);
  });
});
