// Tells systemd how far the agent is, for units of Type=notify. systemd listens at a Unix datagram socket,
// which Node cannot open, so that systemd's own program sends the message. Run by root, it sends in the name
// of the process that started it, and so passes systemd's default of listening to a service's main process
// alone.
import { messageOf, TwillError } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import { LIMITS } from './limits.ts';

export interface ServiceNotifierOptions {
  /** Value of NOTIFY_SOCKET, which the program inherits from our environment; undefined: nobody listens. */
  readonly socket: string | undefined;
  readonly exec: Exec;
  readonly log: Logger;
}

export interface ServiceNotifier {
  /** The service is up; `systemctl status` shows `status`. Never fails: a message that cannot be sent is logged. */
  ready(status: string): Promise<void>;
}

/** A notifier, which does nothing where no service manager listens. */
export function createServiceNotifier({ socket, exec, log }: ServiceNotifierOptions): ServiceNotifier {
  const send = async (...fields: readonly string[]): Promise<void> => {
    if (socket === undefined || socket === '') return;
    try {
      const result = await exec('systemd-notify', fields, { timeoutMs: LIMITS.serviceNotifyMs });
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
