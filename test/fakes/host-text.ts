// Parses the text of host states, so that tests can write them in the words of `ip`.
import { formatObject, type HostObject, type HostState } from '../../agent/model/host-state.ts';

/** Parses one object a line. Ignores empty lines and indentation. */
export function hostState(text: string): HostState {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(hostObject);
}

/** Parses the line of one object; throws if it is none. */
export function hostObject(line: string): HostObject {
  const words = line.split(' ');
  const after = (word: string): string => words[words.indexOf(word) + 1] ?? '';
  const kind = (words[0] === 'link' ? words[1] : words[0]) ?? '';
  const object = PARSERS[kind]?.(words, after);
  if (object === undefined || formatObject(object) !== line)
    throw new Error(`not the line of an object: ${line}`);
  return object;
}

type After = (word: string) => string;

/** Parsers by the first word of the line; for a link by the second. */
const PARSERS: Readonly<Record<string, (words: readonly string[], after: After) => HostObject>> = {
  vxlan: (words, after) => ({
    kind: 'link',
    type: 'vxlan',
    name: words[2] ?? '',
    vni: Number(after('vni')),
    port: Number(after('port')),
    mtuBytes: Number(after('mtu')),
    mac: after('mac'),
    local: after('local'),
    underlay: words.includes('dev') ? after('dev') : undefined,
    learning: words.includes('learning'),
    gbp: words.includes('gbp'),
    up: !words.includes('down'),
  }),
  tun: (words, after) => ({
    kind: 'link',
    type: 'tun',
    name: words[2] ?? '',
    mtuBytes: Number(after('mtu')),
    up: !words.includes('down'),
  }),
  addr: (_, after) => ({ kind: 'addr', prefix: after('addr'), dev: after('dev') }),
  neigh: (_, after) => ({ kind: 'neigh', address: after('neigh'), mac: after('lladdr'), dev: after('dev') }),
  fdb: (_, after) => ({ kind: 'fdb', mac: after('fdb'), dst: after('dst'), dev: after('dev') }),
  route: (words, after) =>
    words[1] === 'blackhole'
      ? {
          kind: 'route',
          type: 'blackhole',
          dst: after('blackhole'),
          via: undefined,
          dev: undefined,
          onlink: false,
        }
      : {
          kind: 'route',
          type: 'unicast',
          dst: after('route'),
          via: after('via'),
          dev: after('dev'),
          onlink: words.includes('onlink'),
        },
};
