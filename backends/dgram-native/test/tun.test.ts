// Real TUN devices.
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type Arena,
  attachTun,
  createArena,
  createEndpoints,
  createPacketFile,
  createPoller,
  createReceiver,
  createSender,
  deleteTun,
  ENDPOINT_BYTES,
  openTun,
  openUdpSocket,
  type PacketFile,
  type Tun,
} from '../src/index.ts';
import { libc } from '../src/libc.ts';
import { IFF_NO_PI, IFF_TUN, IFF_VNET_HDR, TUNSETIFF } from '../src/numbers.ts';
import { createMirror, HEADER_BYTES, PACKET_BYTES, streamThrough } from './mirror.ts';
import { datagramsOf, isPayload, openPair, receiveAll } from './pair.ts';
import { enterPrivateNetwork, ip, missing, titleOf } from './private-network.ts';

const NAME = 'tw-tun';
const NOBODY = 65534;
const OURS = '10.98.0.1';
const MIRRORED = '10.98.0.2';
const [GSO_TCP4, GSO_UDP] = [1, 5];

function openUp(options: { readonly runs?: boolean } = {}): Tun {
  const tun = openTun({ name: NAME, ...options });
  ip('address', 'add', '10.98.0.1/24', 'dev', NAME);
  ip('link', 'set', NAME, 'mtu', '1400', 'up');
  return tun;
}

const isThere = (): boolean =>
  ip('-br', 'link')
    .split('\n')
    .some((line) => line.startsWith(`${NAME} `));

describe.skipIf(missing !== undefined)(titleOf('a TUN device'), () => {
  beforeAll(enterPrivateNetwork);
  afterEach(() => deleteTun(NAME));

  it('a TUN device disappears when it is closed', () => {
    const tun = openTun({ name: NAME });
    expect([tun.name, isThere()]).toEqual([NAME, true]);
    tun[Symbol.dispose]();
    tun[Symbol.dispose]();
    expect([tun.fd, isThere()]).toEqual([-1, false]);
  });

  it('a persistent TUN device stays, is taken over with its addresses, and can be deleted', () => {
    const first = openUp();
    const { tcpRuns, udpRuns } = first;
    first.setPersistent(true);
    first[Symbol.dispose]();
    expect(ip('address', 'show', NAME)).toContain('10.98.0.1/24');
    const second = openTun({ name: NAME, runs: false });
    expect([second.tcpRuns, second.udpRuns]).toEqual([false, false]);
    second[Symbol.dispose]();
    using third = openTun({ name: NAME });
    expect([third.tcpRuns, third.udpRuns]).toEqual([tcpRuns, udpRuns]);
    third[Symbol.dispose]();
    deleteTun(NAME);
    expect(isThere()).toBe(false);
    deleteTun(NAME);
  });

  it('a TUN device that is no longer persistent disappears', () => {
    const tun = openTun({ name: NAME });
    tun.setPersistent(true);
    tun.setPersistent(false);
    tun[Symbol.dispose]();
    expect(isThere()).toBe(false);
  });

  it('a TUN device is neither deleted nor opened while it is open', () => {
    using _tun = openTun({ name: NAME });
    expect(() => openTun({ name: NAME })).toThrow(`cannot open TUN device ${NAME}: ioctl TUNSETIFF: EBUSY`);
    expect(() => deleteTun(NAME)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    expect(isThere()).toBe(true);
  });

  it.each([
    ['a device without an owner', []],
    ['a device of another owner', ['user', String(NOBODY), 'group', String(NOBODY)]],
  ])('a TUN device is its owner’s alone, though it was %s', (_, owner) => {
    ip('tuntap', 'add', 'dev', NAME, 'mode', 'tun', ...owner);
    expect(attachAsNobody(NAME)).toBe('attached');
    using tun = openTun({ name: NAME, owner: { user: 0, group: 0 } });
    tun[Symbol.dispose]();
    expect(attachAsNobody(NAME)).toBe('EPERM');
    expect(ip('-d', 'link', 'show', NAME)).toContain('persist on user root group root');
  });

  it('a TUN device that is made with an owner is the owner’s alone from the start', () => {
    using tun = openTun({ name: NAME, owner: { user: 0, group: 0 } });
    tun.setPersistent(true);
    tun[Symbol.dispose]();
    expect(attachAsNobody(NAME)).toBe('EPERM');
  });

  it('a TUN device without an owner is everybody’s', () => {
    using tun = openTun({ name: NAME });
    tun.setPersistent(true);
    tun[Symbol.dispose]();
    expect(attachAsNobody(NAME)).toBe('attached');
  });

  it('a TUN device is not opened by the name of a device of another kind', () => {
    expect(() => openTun({ name: 'lo' })).toThrow('cannot open TUN device lo: ioctl TUNSETIFF: EINVAL');
  });

  it('a TUN device gives packets of one segment with complete checksums where runs are off', () => {
    using tun = openUp({ runs: false });
    const { arena, file } = createMirror(tun);
    using pair = openPair({ from: { address: OURS } });
    pair.sender.begin(pair.endpoint(MIRRORED, 7000), 300);
    pair.sender.append(pair.payload, 3000);
    expect(pair.sender.flush()).toBe(0);
    const packets = readAll(arena, file);
    expect(packets.map(({ length }) => length)).toEqual(Array.from({ length: 10 }, () => HEADER_BYTES + 328));
    expect(packets.every((packet) => packet.subarray(0, HEADER_BYTES).every((byte) => byte === 0))).toBe(
      true,
    );
    expect(packets.every((packet, i) => isPayload(packet.subarray(HEADER_BYTES + 28), i * 300))).toBe(true);
    expect(packets.map((packet) => sumOfUdp(packet.subarray(HEADER_BYTES)))).toEqual(
      packets.map(() => 0xffff),
    );
  });

  it('a TUN device gives a whole run of datagrams as one packet, where the kernel can', () => {
    using tun = openUp();
    expect(tun.tcpRuns).toBe(true);
    const { arena, file } = createMirror(tun);
    using pair = openPair({ from: { address: OURS } });
    pair.sender.begin(pair.endpoint(MIRRORED, 7000), 300);
    pair.sender.append(pair.payload, 3000);
    expect(pair.sender.flush()).toBe(0);
    const packets = readAll(arena, file);
    expect(packets.length).toBe(tun.udpRuns ? 1 : 10);
    if (tun.udpRuns) {
      const [packet = new Uint8Array()] = packets;
      expect([packet[1], packet.length]).toEqual([GSO_UDP, HEADER_BYTES + 28 + 3000]);
      expect(isPayload(packet.subarray(HEADER_BYTES + 28))).toBe(true);
    }
  });

  it.each([true, false])('a TUN device carries datagrams there and back, with runs %j', (runs) => {
    using tun = openUp({ runs });
    const mirror = createMirror(tun);
    using socket = openUdpSocket({ address: OURS, port: 0 });
    const { arena } = mirror;
    const sender = createSender(arena, socket, { messages: 8, pieces: 8 });
    const receiver = createReceiver(arena, socket, { messages: 4, messageBytes: 65_536 });
    const payload = arena.reserve(65_536);
    for (let i = 0; i < 65_536; i += 1) arena.u8[payload + i] = i * 7 + Math.floor(i / 251);
    // Sent from the mirrored address to our own port, so that the mirrored packet comes from there.
    const mirrored = arena.reserve(ENDPOINT_BYTES);
    createEndpoints(arena).set(mirrored, MIRRORED, socket.port);
    sender.begin(mirrored, 1000);
    sender.append(payload, 30_500);
    sender.begin(mirrored, 0);
    sender.append(payload, 1);
    expect(sender.flush()).toBe(0);
    const poller = createPoller(arena, [tun.fd]);
    while (poller.wait(100) !== 0) mirror.reflect(100);
    const messages = receiveAll(arena, receiver).concat(
      receiveAll(arena, receiver),
      ...Array.from({ length: 10 }, () => receiveAll(arena, receiver)),
    );
    expect(messages.every(({ address, port }) => address === MIRRORED && port === socket.port)).toBe(true);
    const datagrams = datagramsOf(messages);
    expect(datagrams.map(({ length }) => length)).toEqual([
      ...Array.from({ length: 30 }, () => 1000),
      500,
      1,
    ]);
    expect(datagrams.slice(0, 31).every((datagram, i) => isPayload(datagram, i * 1000))).toBe(true);
    expect(mirror.kinds.has(GSO_UDP)).toBe(runs && tun.udpRuns);
  });

  it.each([true, false])('a TUN device carries a TCP stream there and back, with runs %j', async (runs) => {
    using tun = openUp({ runs });
    const mirror = createMirror(tun);
    const bytes = await streamThrough(mirror, 20_000_000);
    expect(bytes).toBe(20_000_000);
    expect((mirror.kinds.get(GSO_TCP4) ?? 0) > 100).toBe(runs);
  });

  it('a TUN device that is deleted while in use fails in the poller, and reading it gives an error', () => {
    using tun = openUp();
    const arena = createArena(65_536);
    const poller = createPoller(arena, [tun.fd]);
    const file = createPacketFile(arena, tun.fd, 1);
    while (file.read(1024, 4096) > 0);
    expect([poller.wait(0), poller.failed]).toEqual([0, 0]);
    ip('link', 'delete', NAME);
    poller.wait(1_000);
    expect(poller.failed).toBe(1);
    expect(file.read(1024, 4096)).toBe(-77);
    file.append(1024, 40);
    expect(file.write()).toBe(-77);
  });

  it('a TUN device of another thread is used by its descriptor, and stays open', () => {
    using tun = openTun({ name: NAME });
    const { fd, name, tcpRuns, udpRuns } = tun;
    const attached = attachTun(structuredClone({ fd, name, tcpRuns, udpRuns }));
    attached.setPersistent(true);
    attached[Symbol.dispose]();
    expect(attached.fd).toBe(fd);
    tun[Symbol.dispose]();
    expect(isThere()).toBe(true);
  });

  it('a TUN device refuses a malformed packet', () => {
    using tun = openUp();
    const arena = createArena(65_536);
    const file = createPacketFile(arena, tun.fd, 2);
    expect(file.write()).toBe(0);
    file.append(0, 4);
    expect(file.write()).toBe(-22);
    expect(file.freePieces()).toBe(2);
  });
});

describe('the name of a TUN device', () => {
  it.each(['', '.', '..', 'a/b', 'a b', 'tun%d', 'a:b', 'sixteen-letters-', 'zehn-öäüöäü', 'a\0b'])(
    'the name of a TUN device is not %j',
    (name) => {
      expect(() => openTun({ name })).toThrow(RangeError);
      expect(() => deleteTun(name)).toThrow(RangeError);
    },
  );
});

// Attaches to a device as a user without rights, for whom the administrator has opened /dev/net/tun.
function attachAsNobody(name: string): string {
  const fd = openSync('/dev/net/tun', 'r+');
  try {
    const request = new Uint8Array(new ArrayBuffer(64));
    request.set(new TextEncoder().encode(name));
    new Uint16Array(request.buffer)[8] = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    const address = libc().addressOf(request);
    process.setegid?.(NOBODY);
    process.seteuid?.(NOBODY);
    const result = libc().ioctl(fd, TUNSETIFF, address);
    const errno = libc().errno();
    process.seteuid?.(0);
    process.setegid?.(0);
    if (result === 0) return 'attached';
    return Object.entries(constants.errno).find(([, number]) => number === errno)?.[0] ?? String(errno);
  } finally {
    closeSync(fd);
  }
}

function readAll(arena: Arena, file: PacketFile): readonly Uint8Array[] {
  const at = arena.reserve(PACKET_BYTES);
  const packets: Uint8Array[] = [];
  for (;;) {
    const bytes = file.read(at, PACKET_BYTES);
    if (bytes <= 0) return packets;
    if ((arena.u8[at + HEADER_BYTES] ?? 0) >> 4 === 4) packets.push(arena.u8.slice(at, at + bytes));
  }
}

// The sum of a UDP packet with its pseudo-header: 0xffff where the checksum is right.
function sumOfUdp(packet: Uint8Array): number {
  const words = new DataView(packet.buffer, packet.byteOffset, packet.length);
  let sum = 17 + (packet.length - 20);
  for (let at = 12; at < packet.length; at += 2) sum += words.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
