// A program: one end of a UDP exchange that shows the source address.
//
//     node datagram-end.js listen PORT            prints the source address of the first datagram
//     node datagram-end.js send PORT ADDRESS      sends three datagrams
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const LISTEN_MS = 5_000;
const COPIES = 3;

const [role, port, address] = process.argv.slice(2);
const socket = createSocket('udp4');
if (role === 'listen') {
  socket.bind(Number(port));
  const [, sender] = (await once(socket, 'message', { signal: AbortSignal.timeout(LISTEN_MS) })) as [
    Buffer,
    { address: string },
  ];
  process.stdout.write(`${sender.address}\n`);
} else {
  for (let copy = 0; copy < COPIES; copy++) {
    await new Promise((resolve) => socket.send('twill', Number(port), address, resolve));
  }
}
socket.close();
