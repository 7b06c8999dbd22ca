import { describe, expect, it } from 'vitest';
import { annotationNames } from '../../../agent/kubernetes/annotation-names.ts';
import { annotationPatch, networkAvailablePatch } from '../../../agent/kubernetes/node-patch.ts';

describe('a patch of the own Node', () => {
  it('writes annotations under the prefix in use', () => {
    const names = annotationNames('x.org/flannel', 'prefix');
    expect(annotationPatch(names, { 'backend-type': '', 'public-ip': '10.0.0.1' })).toEqual({
      type: 'strategic',
      subresource: 'status',
      body: {
        metadata: {
          annotations: { 'x.org/flannel-backend-type': '', 'x.org/flannel-public-ip': '10.0.0.1' },
        },
      },
    });
  });

  it("sets the condition of the network in flannel's words", () => {
    expect(networkAvailablePatch(Date.UTC(2026, 10, 30, 22, 1, 2, 999))).toMatchObject({
      type: 'strategic',
      subresource: 'status',
      body: {
        status: {
          conditions: [
            {
              type: 'NetworkUnavailable',
              status: 'False',
              reason: 'FlannelIsUp',
              message: 'Flannel is running on this node',
              lastTransitionTime: '2026-11-30T22:01:02Z',
              lastHeartbeatTime: '2026-11-30T22:01:02Z',
            },
          ],
        },
      },
    });
  });
});
