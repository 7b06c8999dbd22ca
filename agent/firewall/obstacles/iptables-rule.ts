// Parses the rules that `iptables -S` and iptables-save print. An option that is not known here may mean anything.
// Pure.
import { parseAddress, parsePrefix } from '../../model/ip.ts';
import { type AddressRange, numberOf, rangeOf } from './flow.ts';
import { type Comparison, type ForeignRule, PERHAPS, type RulePart, UNKNOWN } from './foreign-rule.ts';
import { shorten } from './nft-rule-text.ts';

/** Parses a line `-A <chain> …`. `isChain`: whether a target is a chain, and no extension. */
export function parseIptablesRule(line: string, isChain: (target: string) => boolean): ForeignRule {
  const [, , ...words] = wordsOf(line);
  const text = shorten(line.replace(/^-A \S+ /, ''));
  const parts: RulePart[] = [];
  let module = '';
  for (let at = 0; at < words.length; ) {
    const isNegated = words[at] === '!';
    if (isNegated) at++;
    const option = words[at++] ?? '';
    const values: string[] = [];
    while (at < words.length && words[at] !== '!' && !words[at]?.startsWith('-'))
      values.push(words[at++] ?? '');
    if (option === '-m') module = values[0] ?? '';
    // The module connmark has an option of this name too.
    const isForeign = option === '--mark' && module !== 'mark';
    parts.push(...(isForeign ? [PERHAPS] : parseOption(option, values, isNegated, isChain)));
  }
  return { text, parts };
}

/** The words of a line. iptables quotes texts of other programs, with a backslash before each quote in them. */
function wordsOf(line: string): readonly string[] {
  const words = line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  // The quote stays at the front, so that no text is taken for an option.
  return words.map((word) => (word.startsWith('"') ? word.slice(0, -1) : word));
}

/** Modules whose options are read below, or that have no effect on the verdict. */
const KNOWN_MODULES = new Set(['comment', 'conntrack', 'state', 'mark', 'iprange']);

function parseOption(
  option: string,
  values: readonly string[],
  isNegated: boolean,
  isChain: (target: string) => boolean,
): readonly RulePart[] {
  const [value = ''] = values;
  const test = (comparison: Comparison): readonly RulePart[] => [{ kind: 'test', isNegated, ...comparison }];
  switch (option) {
    case '-s':
      return test({ of: 'source', values: [prefixIn(value)] });
    case '-d':
      return test({ of: 'destination', values: [prefixIn(value)] });
    case '--src-range':
      return test({ of: 'source', values: [rangeIn(value)] });
    case '--dst-range':
      return test({ of: 'destination', values: [rangeIn(value)] });
    case '-i':
      return test({ of: 'linkIn', values: [value.replace(/\+$/, '*')] });
    case '-o':
      return test({ of: 'linkOut', values: [value.replace(/\+$/, '*')] });
    case '--ctstate':
    case '--state':
      return test({ of: 'state', values: value.toLowerCase().split(',') });
    case '--mark': {
      const [wanted, mask = 0xffff_ffff] = value.split('/').map(Number);
      return test({ of: 'mark', mask, values: [Number.isNaN(wanted) ? undefined : wanted] });
    }
    case '-m':
      return KNOWN_MODULES.has(value) ? [] : [PERHAPS];
    case '-j':
      return [...(isChain(value) ? [jump('jump', value)] : parseTarget(value))];
    case '-g':
      return [jump('goto', value)];
    case '--set-xmark': {
      const [bits, mask = 0xffff_ffff] = value.split('/').map(Number);
      // The bits of the mask are cleared, then those of the value are turned over.
      const isSet = bits !== undefined && (bits & ~mask) === 0;
      return [{ kind: 'mark', mask, value: isSet ? bits : undefined }];
    }
    case '--notrack':
      return [{ kind: 'untrack' }];
    case '--restore-mark':
      return [{ kind: 'mark', mask: 0xffff_ffff, value: undefined }];
    case '--comment':
    case '--reject-with':
    case '--to-source':
    case '--random':
    case '--random-fully':
    case '--to-ports':
      return [];
    default:
      return option.startsWith('--log') || option.startsWith('--nflog') ? [] : [PERHAPS];
  }
}

function jump(verdict: 'jump' | 'goto', target: string): RulePart {
  return { kind: 'verdict', verdict, target };
}

const ENDS: ReadonlyMap<string, RulePart> = new Map<string, RulePart>([
  ['ACCEPT', { kind: 'verdict', verdict: 'accept' }],
  ['DROP', { kind: 'verdict', verdict: 'drop' }],
  ['REJECT', { kind: 'verdict', verdict: 'drop' }],
  ['RETURN', { kind: 'verdict', verdict: 'return' }],
  ['MASQUERADE', { kind: 'verdict', verdict: 'rewrite' }],
  ['SNAT', { kind: 'verdict', verdict: 'rewrite' }],
  ['NETMAP', { kind: 'verdict', verdict: 'rewrite' }],
]);

/** Targets behind which the walk goes on. That of MARK has its effect by its options. */
const PASSING = new Set(['LOG', 'NFLOG', 'ULOG', 'MARK', 'CONNMARK', 'TCPMSS', 'TRACE', 'CT', 'CHECKSUM']);

function parseTarget(target: string): readonly RulePart[] {
  if (target === 'NOTRACK') return [{ kind: 'untrack' }];
  const end = ENDS.get(target);
  if (end !== undefined) return [end];
  return PASSING.has(target) ? [] : [UNKNOWN];
}

/** Undefined: a mask with gaps. */
function prefixIn(text: string): AddressRange | undefined {
  const prefix = parsePrefix(text.includes('/') ? text : `${text}/32`);
  return prefix?.family === 'ipv4' ? rangeOf(prefix) : undefined;
}

function rangeIn(text: string): AddressRange | undefined {
  const [first, last] = text.split('-').map((address) => {
    const parsed = parseAddress(address);
    return parsed?.family === 'ipv4' ? numberOf(parsed.address) : undefined;
  });
  return first === undefined || last === undefined ? undefined : [first, last];
}
