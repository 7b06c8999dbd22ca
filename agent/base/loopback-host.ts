// Which hosts of a URL are this machine: their traffic crosses no network.

/** Whether `hostname`, as `URL` gives it, is the loopback address or the name of it. */
export function isLoopbackHost(hostname: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname);
}
