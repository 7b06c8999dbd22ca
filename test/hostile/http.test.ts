// Somebody holds hundreds of connections to the health port of a whole agent. Probes are answered all the same.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AgentProcess, HEALTHZ_PORT } from '../lab/agent-process.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { labProgram } from '../lab/paths.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_ROOT, needsProgram, title } from '../support/needs.ts';

const NEED = allOf(NEEDS_ROOT, needsProgram('prlimit'));
const HOLDERS = 600;

// A program: opens the connections, sends a part of a request on every second one, and opens each anew when it ends.
const HOLD = `
let opened = 0;
function hold(text) {
  const socket = require('node:net').connect(${HEALTHZ_PORT}, '127.0.0.1', () => {
    socket.write(text);
    if (++opened === ${HOLDERS}) console.log('held');
  });
  socket.on('error', () => undefined);
  socket.on('close', () => setTimeout(hold, 200, text));
}
for (let i = 0; i < ${HOLDERS}; i++) hold(i % 2 === 0 ? '' : 'GET /healthz HTTP/1.1\\r\\nX: ');`;

describe.skipIf(NEED.missing)(title('an agent whose health port is flooded', NEED), () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await openLab({ hosts: 1 });
  });
  afterAll(async () => {
    await lab?.close();
  });

  const ask = async (): Promise<string> => {
    const argv = [...labProgram('http-get'), `http://127.0.0.1:${HEALTHZ_PORT}/healthz`];
    return (await lab.host(1).namespace.exec(argv, { timeoutMs: 10_000 })).stdout;
  };
  // It answers probes, though no etcd is there.
  const startAgent = async (): Promise<AgentProcess> => {
    const agent = lab
      .host(1)
      .startAgent(['--etcd-endpoints=http://127.0.0.1:9', `--healthz-port=${HEALTHZ_PORT}`]);
    await waitFor('the agent answers', 10_000, async () => (await ask()) === 'ok\n');
    return agent;
  };

  it('an agent answers each probe of its host during a flood that goes on', async () => {
    const agent = await startAgent();
    const flood = lab.host(1).start('flood', [process.execPath, '-e', HOLD]);
    await flood.waitForLine(/held/, 10_000);
    for (let probe = 0; probe < 4; probe++) expect(await ask()).toBe('ok\n');
    await flood.stop('SIGKILL');
    await agent.stop();
  });

  it('an agent without file descriptors for a flood lives, and answers after it', async () => {
    const agent = await startAgent();
    await lab.host(1).namespace.run(['prlimit', `--pid=${agent.pid}`, '--nofile=100:100']);
    const flood = lab.host(1).start('flood', [process.execPath, '-e', HOLD]);
    await flood.waitForLine(/held/, 10_000);
    await flood.stop('SIGKILL');
    await waitFor('the agent answers', 10_000, async () => (await ask()) === 'ok\n');
    expect(agent.process.isRunning).toBe(true);
    await agent.stop();
  });
});
