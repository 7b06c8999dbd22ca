// Paths, limits and refusals of a real network.
//
//     this process ── tw0 ─── veth ─── tw1 (no address, so no answers)
//     10.99.0.1/24
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createPacketFile, errnoName, openTun, openUdpSocket, type Sender } from '../src/index.ts';
import { datagramsOf, isPayload, LOOPBACK, openPair } from './pair.ts';
import { enterPrivateNetwork, ip, missing, titleOf } from './private-network.ts';

const NOBODY = '10.99.0.9';
const ELSEWHERE = '198.51.100.1';

const errnos = (sender: Sender, count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => errnoName(sender.refusedErrno(i)));

describe.skipIf(missing !== undefined)(titleOf('a network'), () => {
  beforeAll(() => {
    enterPrivateNetwork();
    ip('link', 'add', 'tw0', 'type', 'veth', 'peer', 'name', 'tw1');
    ip('address', 'add', '10.99.0.1/24', 'dev', 'tw0');
    ip('link', 'set', 'tw0', 'up');
    ip('link', 'set', 'tw1', 'up');
    return () => ip('link', 'delete', 'tw0');
  });
  afterEach(() => void ip('link', 'set', 'lo', 'mtu', '65536'));

  it.each([true, false])(
    'a datagram larger than its path is refused, with segmentation %j',
    (segmentation) => {
      using pair = openPair({ from: { segmentation } });
      ip('link', 'set', 'lo', 'mtu', '1500');
      for (const bytes of [1472, 1473, 100]) {
        pair.sender.begin(pair.target, 0);
        pair.sender.append(pair.payload, bytes);
      }
      for (const segmentBytes of [1473, 1472]) {
        pair.sender.begin(pair.target, segmentBytes);
        pair.sender.append(pair.payload, 10 * segmentBytes);
      }
      const refused = pair.sender.flush();
      expect(errnos(pair.sender, refused)).toEqual(['EMSGSIZE', 'EMSGSIZE']);
      expect([pair.sender.refusedMessage(0), pair.sender.refusedMessage(1)]).toEqual([1, 3]);
      expect(pair.from.canSegment).toBe(segmentation);
      const datagrams = datagramsOf(pair.receiveBytes(1572 + 14_720));
      expect(datagrams.map(({ length }) => length)).toEqual([
        1472,
        100,
        ...Array.from({ length: 10 }, () => 1472),
      ]);
      expect(datagrams.slice(2).every((datagram, i) => isPayload(datagram, i * 1472))).toBe(true);
    },
  );

  it('a sender knows the largest payload that each path takes now', () => {
    using socket = openUdpSocket({ address: '0.0.0.0', port: 0 });
    const lengths = () => [LOOPBACK, NOBODY, ELSEWHERE].map((address) => socket.pathPayloadBytes(address));
    expect(lengths()).toEqual([65_507, 1472, undefined]);
    ip('link', 'set', 'lo', 'mtu', '1400');
    ip('link', 'set', 'tw0', 'mtu', '1450');
    expect(lengths()).toEqual([1372, 1422, undefined]);
    ip('route', 'add', '198.51.100.0/24', 'via', '10.99.0.9', 'mtu', '1300');
    expect(lengths()).toEqual([1372, 1422, 1272]);
    ip('route', 'delete', '198.51.100.0/24');
    ip('link', 'set', 'tw0', 'mtu', '1500');
    expect(lengths()).toEqual([1372, 1472, undefined]);
  });

  // Linux takes the second one for any path, whoever sends it.
  it.each([
    ['a datagram of the socket', 17],
    ['an answer to a ping', 1],
  ])('a forged ICMP error about %s makes no path narrower', (_, protocol) => {
    using pair = openPair({ from: { address: '10.99.0.1' } });
    using attacker = openTun({ name: 'tw-forger' });
    ip('address', 'add', '10.97.0.1/24', 'dev', attacker.name);
    ip('link', 'set', attacker.name, 'up');
    const packet = forgedFragmentationNeeded(protocol, pair.from.port);
    const file = createPacketFile(pair.arena, attacker.fd, 1);
    const at = pair.arena.reserve(packet.length);
    pair.arena.u8.set(packet, at);
    file.append(at, packet.length);
    expect(file.write()).toBe(packet.length);
    for (const segmentBytes of [0, 1472]) {
      pair.sender.begin(pair.endpoint(NOBODY, 9), segmentBytes);
      pair.sender.append(pair.payload, segmentBytes === 0 ? 1472 : 2944);
    }
    expect(errnos(pair.sender, pair.sender.flush())).toEqual([]);
  });

  it('a missing route to one peer refuses only the message to it', () => {
    using pair = openPair({ from: { address: '0.0.0.0' } });
    for (const address of [LOOPBACK, ELSEWHERE, LOOPBACK]) {
      pair.sender.begin(pair.endpoint(address, pair.to.port), 0);
      pair.sender.append(pair.payload, 10);
    }
    expect(errnos(pair.sender, pair.sender.flush())).toEqual(['ENETUNREACH']);
    expect(pair.sender.refusedMessage(0)).toBe(1);
    expect(pair.receiveBytes(20).length).toBe(2);
  });

  it.each([true, false])(
    'messages beyond the full buffers are refused at once, with segmentation %j',
    (segmentation) => {
      using pair = openPair({ from: { address: '0.0.0.0', sendBufferBytes: 4608, segmentation } });
      const nobody = pair.endpoint(NOBODY, 9);
      // They wait for a neighbour that never answers, and lie in the socket's buffer as long.
      for (let i = 0; i < 30; i += 1) {
        pair.sender.begin(nobody, i === 20 ? 1000 : 0);
        pair.sender.append(pair.payload, i === 20 ? 9000 : 1000);
      }
      pair.sender.begin(pair.target, 0);
      pair.sender.append(pair.payload, 10);
      const refused = pair.sender.flush();
      expect(refused).toBeGreaterThan(20);
      expect(new Set(errnos(pair.sender, refused))).toEqual(new Set(['EAGAIN']));
      const places = Array.from({ length: refused }, (_, i) => pair.sender.refusedMessage(i));
      expect(places).toEqual(Array.from({ length: refused }, (_, i) => 31 - refused + i));
    },
  );
});

/** The bytes for a TUN device of an ICMP error that gives the path from 10.99.0.1 to `NOBODY` an MTU of 68. */
function forgedFragmentationNeeded(protocol: number, port: number): Uint8Array {
  const bytes = new Uint8Array(10 + 20 + 8 + 28);
  const packet = new DataView(bytes.buffer, 10);
  const ipHeader = (at: number, length: number, of: number, source: number, destination: number): void => {
    packet.setUint32(at, 0x4500_0000 + length);
    packet.setUint16(at + 8, 0x4000 + of);
    packet.setUint32(at + 12, source);
    packet.setUint32(at + 16, destination);
    packet.setUint16(at + 10, checksum(packet, at, 20));
  };
  const [forger, self, nobody] = [0x0a61_0009, 0x0a63_0001, 0x0a63_0009];
  ipHeader(0, 56, 1, forger, self);
  packet.setUint32(20, 0x0304_0000);
  packet.setUint32(24, 68);
  ipHeader(28, 1500, protocol, self, nobody);
  if (protocol === 17) packet.setUint32(48, (port << 16) | 9);
  packet.setUint16(22, checksum(packet, 20, 36));
  return bytes;
}

function checksum(packet: DataView, at: number, bytes: number): number {
  let sum = 0;
  for (let i = at; i < at + bytes; i += 2) sum += packet.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
