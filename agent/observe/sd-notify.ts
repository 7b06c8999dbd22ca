// Tells systemd that the agent is ready and alive, for units of Type=notify with a watchdog. Each message is a datagram
// from the main process of the service, as systemd requires by default.
import type { Clock } from '../base/clock.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/printable.ts';
import { LIMITS } from './limits.ts';

/** A service manager that listens. */
export interface ServiceManager {
  /** An absolute path, or `@name` for an abstract socket. */
  readonly socket: string;
  /** It ends a service that says nothing for this time. Undefined: it has no watchdog. */
  readonly watchdogMs: number | undefined;
}

export interface ServiceNotifierOptions {
  /** Undefined: no service manager listens. */
  readonly manager: ServiceManager | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Called at each message; neither may block. */
export interface AgentState {
  /** The call that hangs, in one line, by the rule of /healthz; undefined: none. */
  readonly hangs: () => string | undefined;
  /** The state of the node for `systemctl status`; undefined: nothing is known yet. */
  readonly status: () => string | undefined;
}

export interface ServiceNotifier {
  /** Reports the service as ready, with `status` for `systemctl status`. Never fails: a failure is logged. */
  ready(status: string): Promise<void>;
  /**
   * Feeds the watchdog until `signal` is aborted, while no call hangs. An agent that waits for its datastore is alive.
   * Returns at once where there is no watchdog.
   */
  run(state: AgentState, signal: AbortSignal): Promise<void>;
}

/** The service manager of an environment, for the process `pid`; undefined: there is none. */
export function parseServiceManager(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): ServiceManager | undefined {
  const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: usec = '', WATCHDOG_PID: owner = '' } = environment;
  if (socket === '') return undefined;
  // The variables of another process may be inherited.
  const isOurs = owner === '' || owner === String(pid);
  return { socket, watchdogMs: isOurs && /^[1-9]\d{0,15}$/.test(usec) ? Number(usec) / 1_000 : undefined };
}

/** A notifier. It does nothing if no service manager listens. */
export function createServiceNotifier({ manager, clock, log }: ServiceNotifierOptions): ServiceNotifier {
  let failure: string | undefined;

  const send = async (...fields: readonly string[]): Promise<void> => {
    if (manager === undefined) return;
    try {
      const { sendUnixDatagram } = await import('dgram-native');
      const message = Buffer.from(fields.join('\n'));
      for (let rest: number = LIMITS.serviceNotifyRetries; ; rest -= 1) {
        try {
          sendUnixDatagram(manager.socket, message);
          break;
        } catch (error) {
          // The manager is busy: its queue is full.
          if (rest === 0 || errnoOf(error) !== 'EAGAIN') throw error;
          await clock.sleep(LIMITS.serviceNotifyRetryMs);
        }
      }
      failure = undefined;
    } catch (error) {
      const reason = messageOf(error);
      // A manager that is gone would be logged for ever.
      if (reason !== failure) log.warn('cannot notify the service manager', { error: reason });
      failure = reason;
    }
  };
  return {
    ready: (status) => send('READY=1', statusOf(status)),
    async run({ hangs, status }, signal) {
      if (manager?.watchdogMs === undefined) return;
      let hang: string | undefined;
      while (!signal.aborted) {
        const now = hangs();
        if (now === undefined) {
          const text = status();
          await send('WATCHDOG=1', ...(text === undefined ? [] : [statusOf(text)]));
        } else if (hang === undefined) {
          log.error('the service manager will restart this agent', { hangs: now });
        }
        hang = now;
        await clock.sleep(manager.watchdogMs / 2, signal).catch(() => undefined);
      }
    },
  };
}

function statusOf(text: string): string {
  return `STATUS=${printable(text).replaceAll(/\s+/g, ' ').trim()}`;
}
