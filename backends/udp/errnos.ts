// The errnos that the data plane tells apart.
import { constants } from 'node:os';

export const { EAGAIN, ECONNREFUSED, EHOSTUNREACH, EINTR, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM } =
  constants.errno;
