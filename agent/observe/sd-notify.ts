// Notifies systemd that the agent is ready, for units of Type=notify. systemd listens at a Unix datagram socket, which
// Node cannot open, so we run systemd-notify. As root it sends in the name of its parent process, which is the main
// process of the service, as systemd requires by default.
import { messageOf, TwillError } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import { LIMITS } from './limits.ts';

export interface ServiceNotifierOptions {
  /** Value of NOTIFY_SOCKET; undefined: no service manager listens. */
  readonly socket: string | undefined;
  readonly exec: Exec;
  readonly log: Logger;
}

export interface ServiceNotifier {
  /** Reports the service as ready, with `status` for `systemctl status`. Never fails: a failure is logged. */
  ready(status: string): Promise<void>;
}

/** A notifier. It does nothing if no service manager listens. */
export function createServiceNotifier({ socket, exec, log }: ServiceNotifierOptions): ServiceNotifier {
  const send = async (...fields: readonly string[]): Promise<void> => {
    if (socket === undefined || socket === '') return;
    try {
      const result = await exec('systemd-notify', fields, {
        timeoutMs: LIMITS.serviceNotifyMs,
        env: { NOTIFY_SOCKET: socket },
      });
      if (result.exitCode !== 0) {
        throw new TwillError('host', result.stderr.trim() || `exit code ${result.exitCode}`);
      }
    } catch (error) {
      log.warn('cannot notify the service manager', { error: messageOf(error) });
    }
  };
  const line = (text: string): string => `STATUS=${text.replaceAll(/\s+/g, ' ').trim()}`;
  return {
    ready: (status) => send('READY=1', line(status)),
  };
}
