// Host states from the text that they print, so that tests can say what they mean in the words of `ip`.
import { formatObject, type HostObject, type HostState } from '../../agent/model/host-state.ts';

/** The host state with these lines; empty lines and indentation do not count. */
export function hostState(text: string): HostState {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map(hostObject);
}

/** The object with this line; an error where there is none. */
export function hostObject(line: string): HostObject {
  const words = line.split(' ');
  const after = (word: string): string => words[words.indexOf(word) + 1] ?? '';
  const object = parse(words, after);
  if (formatObject(object) !== line) throw new Error(`not the line of an object: ${line}`);
  return object;
}

function parse(words: readonly string[], after: (word: string) => string): HostObject {
  const [kind, first = '', second = ''] = words;
  const dev = after('dev');
  switch (kind) {
    case 'link':
      return {
        kind,
        type: 'vxlan',
        name: second,
        vni: Number(after('vni')),
        port: Number(after('port')),
        mtuBytes: Number(after('mtu')),
        mac: after('mac'),
        local: after('local'),
        underlay: dev,
        learning: words.includes('learning'),
        gbp: words.includes('gbp'),
        up: !words.includes('down'),
      };
    case 'addr':
      return { kind, prefix: first, dev };
    case 'neigh':
      return { kind, address: first, mac: after('lladdr'), dev };
    case 'fdb':
      return { kind, mac: first, dst: after('dst'), dev };
    default:
      return first === 'blackhole'
        ? { kind: 'route', type: 'blackhole', dst: second, via: undefined, dev: undefined, onlink: false }
        : {
            kind: 'route',
            type: 'unicast',
            dst: first,
            via: after('via'),
            dev,
            onlink: words.includes('onlink'),
          };
  }
}
