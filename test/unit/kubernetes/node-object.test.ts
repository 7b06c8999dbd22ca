import { describe, expect, it } from 'vitest';
import { annotationNames, DEFAULT_PREFIX } from '../../../agent/kubernetes/annotation-names.ts';
import { LIMITS } from '../../../agent/kubernetes/limits.ts';
import { createNodeReader } from '../../../agent/kubernetes/node-object.ts';
import { nodeJson, vxlanAnnotations } from '../../support/node-json.ts';

const read = createNodeReader(annotationNames(DEFAULT_PREFIX, 'prefix'));

describe('reading a Node', () => {
  it('keeps its name, uid, version, podCIDRs, the annotations of flannel and one condition', () => {
    const status = {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'NetworkUnavailable', status: 'False' },
      ],
      images: [{}],
    };
    const annotations = { ...vxlanAnnotations('10.0.0.1'), other: 'x' };
    expect(read(nodeJson('n1', { version: 12, annotations, more: { status } }))).toEqual({
      name: 'n1',
      uid: 'uid-n1',
      resourceVersion: '12',
      createdMs: Date.UTC(2026, 10, 30, 10),
      podCidrs: ['10.244.1.0/24'],
      annotations: vxlanAnnotations('10.0.0.1'),
      networkUnavailable: 'False',
    });
  });

  it('looks for the annotations under the prefix in use', () => {
    const names = annotationNames('x.org/flannel', 'prefix');
    const metadata = {
      name: 'n1',
      uid: 'u',
      resourceVersion: '1',
      annotations: {
        'x.org/flannel-public-ip': '10.0.0.1',
        'flannel.alpha.coreos.com/public-ip': '10.0.0.2',
      },
    };
    expect(createNodeReader(names)({ metadata })?.annotations).toEqual({ 'public-ip': '10.0.0.1' });
  });

  it.each([
    [
      'both',
      { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd00::/64'] },
      ['10.1.0.0/24', 'fd00::/64'],
    ],
    ['the single one', { podCIDR: '10.1.0.0/24' }, ['10.1.0.0/24']],
    ['the single one beside an empty list', { podCIDR: '10.1.0.0/24', podCIDRs: [] }, ['10.1.0.0/24']],
    ['none', {}, []],
    ['none of an empty text', { podCIDR: '' }, []],
    ['none of other types', { podCIDR: 5, podCIDRs: [null, {}] }, []],
    [
      'no more than are enough to refuse',
      { podCIDRs: Array.from({ length: 1_000 }, () => 'x') },
      ['x', 'x', 'x', 'x'],
    ],
  ])('takes %s of its podCIDRs', (_, spec, expected) => {
    expect(read(nodeJson('n1', { more: { spec } }))?.podCidrs).toEqual(expected);
  });

  it.each([
    null,
    5,
    'text',
    [],
    {},
    { metadata: { name: 'n1' } },
    { metadata: { name: 1, uid: 'u', resourceVersion: '1' } },
  ])('passes over %j', (object) => {
    expect(read(object)).toBeUndefined();
  });

  it('keeps little of values that are too long, and nothing of other types', () => {
    const node = read({
      metadata: {
        name: 'n1',
        uid: 'u',
        resourceVersion: '1',
        creationTimestamp: {},
        annotations: {
          'flannel.alpha.coreos.com/backend-data': 'x'.repeat(100_000),
          'flannel.alpha.coreos.com/public-ip': 7,
        },
      },
      spec: [],
      status: { conditions: [null, { type: 'NetworkUnavailable', status: 'x'.repeat(1_000) }] },
    });
    expect(node?.annotations['backend-data']?.length).toBe(LIMITS.annotationChars + 1);
    expect(node?.annotations['public-ip']).toBeUndefined();
    expect([node?.createdMs, node?.networkUnavailable]).toEqual([0, 'xxxxxxx']);
  });
});
