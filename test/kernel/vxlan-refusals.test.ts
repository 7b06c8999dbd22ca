// The reasons for which Linux refuses a vxlan device, as the operator reads them.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { beforeAll, describe, expect, test } from 'vitest';
import { openNetlinkKernel } from '../../agent/kernel/netlink-kernel.ts';
import { plan } from '../support/golden-states.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';
import { addEth0, ip } from './eth0.ts';

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(
  title('a vxlan device that cannot be made', NEEDS_PRIVATE_NETNS),
  () => {
    beforeAll(addEth0);
    const refusals = async (): Promise<string[]> => {
      await using kernel = openNetlinkKernel();
      const [link] = await plan('vxlan', {}, []);
      if (link === undefined) throw new Error('no link');
      return (await kernel.apply([{ op: 'add', object: link }])).map(
        ({ error }) => `${error.errno}: ${error.message}`,
      );
    };

    test('the refusal names the other device with our VNI and port', async () => {
      ip('link', 'add', 'vx9', 'type', 'vxlan', 'id', '9', 'dstport', '8472', 'nolearning');
      ip('link', 'add', 'vx1', 'type', 'vxlan', 'id', '1', 'dstport', '8472', 'nolearning');
      try {
        expect(await refusals()).toEqual([
          'EEXIST: cannot add link flannel.1: vxlan device vx1 has VNI 1 and port 8472 too; delete it, or configure another VNI',
        ]);
      } finally {
        ip('link', 'del', 'vx1');
        ip('link', 'del', 'vx9');
      }
    });

    test('the refusal names the device of another mode that has our port', async () => {
      ip('link', 'add', 'vx2', 'type', 'vxlan', 'external', 'dstport', '8472');
      ip('link', 'set', 'vx2', 'up');
      try {
        expect(await refusals()).toEqual([
          'EADDRINUSE: cannot add link flannel.1: vxlan device vx2 has UDP port 8472 too; delete it, or configure another Port',
        ]);
      } finally {
        ip('link', 'del', 'vx2');
      }
    });

    test('the refusal names the UDP port that another program has', async () => {
      const socket = createSocket('udp4').bind(8472);
      await once(socket, 'listening');
      try {
        expect(await refusals()).toEqual([
          'EADDRINUSE: cannot add link flannel.1: another program has UDP port 8472 (see "ss -lunp"); stop it, or configure another Port',
        ]);
      } finally {
        socket.close();
      }
    });

    test('the refusal names the link of another program that has our name', async () => {
      ip('link', 'add', 'flannel.1', 'type', 'bridge');
      try {
        expect(await refusals()).toEqual([
          expect.stringMatching(
            /^EEXIST: .*: flannel\.1 is a link of another program: type bridge \(EEXIST\)$/,
          ),
        ]);
      } finally {
        ip('link', 'del', 'flannel.1');
      }
    });
  },
);
