import { describe, expect, it } from 'vitest';
import { etcdError, isServerFailure, parseEtcdFailure } from '../../../agent/datastore/etcd-errors.ts';
import { rightFor } from '../../../agent/datastore/etcd-kv.ts';

/** An error as gRPC makes it. */
function failure(code: number, details: string): Error {
  return Object.assign(new Error(`${code} X: ${details}`), { code, details });
}

describe('errors of etcd', () => {
  for (const { details, code, text } of [
    {
      code: 14,
      details:
        'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ',
      text: 'connect ECONNREFUSED 127.0.0.1:1',
    },
    {
      code: 14,
      details:
        'No connection established. Last error: A0:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../rec.c:1601:SSL alert number 42\n (2026-11-21T10:40:17.198Z). Resolution note: ',
      text: 'it refuses our client certificate, or requires one (sslv3 alert bad certificate)',
    },
    {
      code: 14,
      details: 'No connection established. Last error: Error: read ECONNRESET. Resolution note: ',
      text: 'it reset the connection (read ECONNRESET)',
    },
    {
      code: 3,
      details: 'etcdserver: authentication failed, invalid user ID or password',
      text: 'wrong user name or password (authentication failed, invalid user ID or password)',
    },
    {
      code: 7,
      details: 'rpc error: code = PermissionDenied desc = etcdserver: permission denied',
      text: 'permission denied',
    },
    {
      code: 8,
      details: 'etcdserver: mvcc: database space exceeded',
      text: 'its database is full, so it refuses writes (mvcc: database space exceeded)',
    },
    {
      code: 8,
      details: 'etcdserver: too many requests',
      text: 'it is overloaded (too many requests)',
    },
    {
      code: 9,
      details: 'etcdserver: rpc not supported for learner',
      text: 'it is a learner, which serves no clients (rpc not supported for learner)',
    },
    { code: 14, details: 'etcdserver: no leader', text: 'no leader' },
  ]) {
    it(`etcd errors have the message: ${text}`, () => {
      const error = etcdError(failure(code, details), ['http://a:1', 'http://b:2'], { what: 'list /x' });
      expect(error.message).toBe(`etcd at http://a:1, http://b:2: cannot list /x: ${text}`);
      expect(error.code).toBe('datastore');
      expect(error.hint).toBeDefined();
    });
  }

  it('etcd errors name the right that is missing, as a command', () => {
    const denied = failure(7, 'etcdserver: permission denied');
    const hintFor = (range: string, access: 'read' | 'readwrite'): string | undefined =>
      etcdError(denied, ['http://a:1'], { what: 'use it', right: rightFor('/net', range, access) }).hint;
    const command = 'give a role of the user this right: etcdctl role grant-permission ROLE';
    expect(hintFor('/net/config', 'read')).toBe(`${command} read /net/config`);
    expect(hintFor('/net/config', 'readwrite')).toBe(`${command} readwrite /net/config`);
    for (const range of ['/net/subnets/', '/net/subnets/10.5.1.0-24'])
      expect(hintFor(range, 'read')).toBe(`${command} readwrite --prefix=true /net/subnets/`);
  });

  it('etcd errors count as a failure of the server if they do not come from gRPC', () => {
    expect(isServerFailure(parseEtcdFailure(new Error('the server ended the stream')))).toBe(true);
    expect(isServerFailure(parseEtcdFailure(failure(7, 'permission denied')))).toBe(false);
  });

  it('etcd errors of a learner count as a failure of the server', () => {
    const learner = failure(9, 'etcdserver: rpc not supported for learner');
    expect(isServerFailure(parseEtcdFailure(learner))).toBe(true);
  });
});
