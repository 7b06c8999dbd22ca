// The names of flannel's annotations, by the prefix that `--kube-annotation-prefix` gives them.
import { TwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';
import { LIMITS } from './limits.ts';

/** The prefix where none is given. */
export const DEFAULT_PREFIX = 'flannel.alpha.coreos.com';

/** The annotations that are read or written; each is the end of a name. */
export const ANNOTATIONS = [
  'kube-subnet-manager',
  'backend-type',
  'backend-data',
  'backend-v6-data',
  'public-ip',
  'public-ipv6',
  'public-ip-overwrite',
  'public-ipv6-overwrite',
  'node-public-ip',
  'node-public-ipv6',
] as const;

export type Annotation = (typeof ANNOTATIONS)[number];

/** The whole name of each annotation. */
export type AnnotationNames = Readonly<Record<Annotation, string>>;

// The rules of the API for the name of an annotation: a DNS name, a slash, and a label.
const DOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const MOST = { domain: 253, label: 63 };

/**
 * The names with a prefix. As in flannel, a prefix without a slash gets one (`x.org/backend-type`), and one with more
 * behind its slash gets a hyphen (`x.org/flannel-backend-type`). Fails as `usage` in a line that starts with `where`.
 */
export function annotationNames(prefix: string, where: string): AnnotationNames {
  const start = startOf(prefix);
  const names = ANNOTATIONS.map((end) => [end, start + end] as const);
  if (prefix.length > LIMITS.prefixChars || !names.every(([, name]) => isName(name))) {
    throw new TwillError(
      'usage',
      `${where}: must be a DNS name, such as ${DEFAULT_PREFIX}, and may have one slash with a label behind it, is ${excerpt(prefix)}`,
    );
  }
  return Object.fromEntries(names) as AnnotationNames;
}

function startOf(prefix: string): string {
  if (!prefix.includes('/')) return `${prefix}/`;
  return /[-/]$/.test(prefix) ? prefix : `${prefix}-`;
}

function isName(name: string): boolean {
  const [domain = '', label = '', ...rest] = name.split('/');
  const isShort = domain.length <= MOST.domain && label.length <= MOST.label;
  return rest.length === 0 && isShort && DOMAIN.test(domain) && LABEL.test(label);
}
