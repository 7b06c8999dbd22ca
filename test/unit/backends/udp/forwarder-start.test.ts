import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parsePrefix } from '../../../../agent/model/ip.ts';
import { startForwarder } from '../../../../backends/udp/forwarder-control.ts';
import { needsProgram, title } from '../../../support/needs.ts';
import { withoutDescriptors } from '../../../support/without-descriptors.ts';

const prefix = (text: string) => {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const setup = {
  tun: { fd: -1, name: 'flannel0', tcpRuns: false, udpRuns: false },
  socket: { fd: -1, port: 8285, canSegment: false, canCoalesce: false },
  port: 8285,
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.34.0/24'),
};
const countDescriptors = (): number => readdirSync('/proc/self/fd').length;

const need = needsProgram('prlimit');
describe.skipIf(need.missing)(title('a forwarder without file descriptors', need), () => {
  it('a forwarder is not started where its thread finds too few, and none is lost by that', async () => {
    const before = countDescriptors();
    for (let free = 0; free < 8; free++) {
      await withoutDescriptors(free, async () => {
        expect(() => startForwarder(setup)).toThrow(/EMFILE/);
      });
    }
    expect(countDescriptors()).toBe(before);
  });
});
