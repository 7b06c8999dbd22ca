// alloc: the node gets a subnet and nothing else. Another program carries the packets.
import type { Backend } from '../../agent/model/backend.ts';
import type { AllocOptions } from './options.ts';

export function createAlloc(_options: AllocOptions): Backend {
  return {
    type: 'alloc',
    announce: () => undefined,
    mtuBytes: (underlay) => underlay.mtuBytes,
    own: () => [],
    peer: () => [],
  };
}
