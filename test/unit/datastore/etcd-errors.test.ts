import { describe, expect, it } from 'vitest';
import { etcdError, isServerFailure, parseEtcdFailure } from '../../../agent/datastore/etcd-errors.ts';

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
      text: 'permission denied (permission denied)',
    },
    {
      code: 8,
      details: 'etcdserver: mvcc: database space exceeded',
      text: 'its database is full (mvcc: database space exceeded)',
    },
    { code: 14, details: 'etcdserver: no leader', text: 'no leader' },
  ]) {
    it(`etcd errors have the message: ${text}`, () => {
      const error = etcdError(failure(code, details), ['http://a:1', 'http://b:2'], 'list /x');
      expect(error.message).toBe(`etcd at http://a:1, http://b:2: cannot list /x: ${text}`);
      expect(error.code).toBe('datastore');
      expect(error.hint).toBeDefined();
    });
  }

  it('etcd errors count as a failure of the server if they do not come from gRPC', () => {
    expect(isServerFailure(parseEtcdFailure(new Error('the server ended the stream')))).toBe(true);
    expect(isServerFailure(parseEtcdFailure(failure(7, 'permission denied')))).toBe(false);
  });
});
