import { expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { createTrouble } from '../../../agent/lease/trouble.ts';
import { captureLog } from '../../support/capture-log.ts';

const denied = (subnet: string): TwillError =>
  new TwillError('datastore', `cannot create ${subnet}: permission denied`, { hint: 'grant the right' });

it('attempts that fail for want of the same remedy are logged once, and the last one explains the condition', () => {
  const { log, lines } = captureLog('lease');
  const trouble = createTrouble(log);
  for (const subnet of ['10.5.1.0/24', '10.5.2.0/24', '10.5.3.0/24'])
    trouble.fail('cannot claim a lease again', denied(subnet));
  expect(lines).toEqual([
    expect.stringMatching(
      /lease: cannot claim a lease again: cannot create 10\.5\.1\.0\/24: .*; grant the right$/,
    ),
  ]);
  const condition = { part: 'lease', state: 'failing', reason: 'claiming a lease again' } as const;
  expect(trouble.explain(condition).reason).toBe(
    'claiming a lease again: cannot create 10.5.3.0/24: permission denied; grant the right',
  );
  trouble.clear();
  expect(trouble.explain(condition)).toEqual(condition);
  trouble.fail('cannot claim a lease again', denied('10.5.4.0/24'));
  expect(lines).toHaveLength(2);
});

it('a failure with another remedy, or of another attempt, is logged', () => {
  const { log, lines } = captureLog('lease');
  const trouble = createTrouble(log);
  trouble.fail('cannot renew the lease yet', denied('10.5.1.0/24'));
  trouble.fail('cannot renew the lease yet', new Error('the connection was closed'));
  trouble.fail('cannot repair the lease yet', new Error('the connection was closed'));
  expect(lines).toHaveLength(3);
});
