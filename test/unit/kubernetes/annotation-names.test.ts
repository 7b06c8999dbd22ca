import { describe, expect, it } from 'vitest';
import { annotationNames, DEFAULT_PREFIX } from '../../../agent/kubernetes/annotation-names.ts';

describe('the names of annotations', () => {
  it.each([
    [DEFAULT_PREFIX, 'flannel.alpha.coreos.com/public-ip'],
    ['x.org', 'x.org/public-ip'],
    ['x.org/', 'x.org/public-ip'],
    ['x.org/flannel', 'x.org/flannel-public-ip'],
    ['x.org/flannel-', 'x.org/flannel-public-ip'],
    ['x.org/a_b.C', 'x.org/a_b.C-public-ip'],
  ])('have the prefix %s as flannel writes it: %s', (prefix, name) => {
    expect(annotationNames(prefix, 'flag')['public-ip']).toBe(name);
  });

  it.each([
    '',
    '/',
    'a/b/c',
    'x.org//',
    '/flannel',
    'X.org',
    'x_y.org',
    'x.org/-',
    'x.org/ü',
    'a b',
    `${'a'.repeat(300)}`,
    `x.org/${'a'.repeat(60)}`,
  ])('cannot have the prefix %j', (prefix) => {
    expect(() => annotationNames(prefix, '--kube-annotation-prefix')).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: expect.stringMatching(/^--kube-annotation-prefix: must be a DNS name, such as .*, is "/),
      }),
    );
  });
});
