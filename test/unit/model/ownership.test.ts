import { describe, expect, it } from 'vitest';
import type { NodeIdentity } from '../../../agent/model/lease.ts';
import { isFromUs, isOwn, ownership } from '../../../agent/model/ownership.ts';
import { lease, leaseAttrs } from '../../support/build.ts';

const SELF: NodeIdentity = { id: '00000000000000aa', mac: '02:00:00:00:00:01', name: 'h1' };
const NO_MAC: NodeIdentity = { ...SELF, mac: undefined };
const CLONE: NodeIdentity = { ...SELF, mac: '02:00:00:00:00:02' };
const OTHER: NodeIdentity = { id: '00000000000000bb', mac: '02:00:00:00:00:02', name: 'h1' };
const HERE = '192.168.77.1';
const THERE = '192.168.77.9';
const US = { publicIP: { ipv4: HERE }, node: SELF };

const leaseOf = (publicIP: string, node: NodeIdentity | undefined, session = 'own') =>
  lease('10.5.2.0/24', leaseAttrs(publicIP, { node }), { session });

describe('ownership', () => {
  it.each([
    ['of this machine', HERE, SELF, 'ours'],
    ['of this machine under another name, as DHCP may give', HERE, { ...SELF, name: 'dhcp-7' }, 'ours'],
    ['of flannel', HERE, undefined, 'ours'],
    ['of this machine from before leases had a MAC', HERE, NO_MAC, 'ours'],
    ['of this machine with another card, or of a live clone', HERE, CLONE, 'namesake'],
    ['of another machine, although with our card', HERE, { ...SELF, id: OTHER.id }, 'namesake'],
    ['of another machine without a MAC', HERE, { ...NO_MAC, id: OTHER.id }, 'namesake'],
    ['of another machine with our name', HERE, OTHER, 'namesake'],
    ['of this machine', THERE, SELF, 'moved'],
    ['of a clone with our name', THERE, CLONE, 'clone'],
    ['of our machine id without a MAC', THERE, NO_MAC, 'clone'],
    ['of another machine with our name', THERE, OTHER, undefined],
    ['of another machine with our card', THERE, { ...SELF, id: OTHER.id }, undefined],
    ['of flannel', THERE, undefined, undefined],
  ] as const)('a lease %s at %s is judged by machine, MAC and address', (_, publicIP, node, expected) => {
    expect(ownership(leaseOf(publicIP, node), US)).toBe(expected);
  });

  it('a node whose link has no MAC knows its lease by machine and address alone', () => {
    const us = { ...US, node: NO_MAC };
    expect([SELF, NO_MAC, CLONE].map((node) => ownership(leaseOf(HERE, node), us))).toEqual(
      Array(3).fill('ours'),
    );
    expect([SELF, NO_MAC, CLONE].map((node) => ownership(leaseOf(THERE, node), us))).toEqual(
      Array(3).fill('clone'),
    );
  });
});

describe('a lease of this run', () => {
  const last = leaseOf(HERE, SELF);

  it.each([
    ['at a former address', leaseOf(THERE, SELF), true],
    ['of another session', leaseOf(THERE, SELF, 'other'), false],
    ['of a clone in our session', leaseOf(THERE, CLONE), false],
    ['without a MAC in our session', leaseOf(THERE, NO_MAC), false],
    ['of another machine in our session', leaseOf(THERE, OTHER), false],
    ['of flannel in our session', leaseOf(THERE, undefined), false],
  ])('a lease %s is told by session, machine and MAC', (_, found, expected) => {
    expect(isFromUs(found, US, last)).toBe(expected);
    expect(isFromUs(found, US, undefined)).toBe(false);
  });

  it('a lease with the card that we had when we wrote it is ours', () => {
    const us = { publicIP: { ipv4: THERE }, node: CLONE };
    expect([isFromUs(last, us, last), isOwn(last, us, last)]).toEqual([true, true]);
  });

  it('a reservation with our former address is ours until we write it, and not as flannel writes it', () => {
    const us = { publicIP: { ipv4: THERE }, node: SELF };
    const reserved = { ...leaseOf(HERE, SELF), session: undefined };
    expect(isOwn(reserved, us, reserved)).toBe(true);
    expect(isOwn(reserved, us, undefined)).toBe(false);
    expect(isOwn({ ...leaseOf(HERE, undefined), session: undefined }, us, reserved)).toBe(false);
    expect(isOwn({ ...reserved, key: '10.5.3.0-24' }, us, reserved)).toBe(false);
  });
});
