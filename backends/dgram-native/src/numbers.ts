// The numbers of Linux that system calls take and give, under the names of its own headers.
import { constants } from 'node:os';

export const { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE } = constants.errno;

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x2 | 0x800 | 0x80000;
export const O_RDWR_NONBLOCK_CLOEXEC = 0x2 | 0x800 | 0x80000;
export const EFD_NONBLOCK_CLOEXEC = 0x800 | 0x80000;

export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;

export const IPPROTO_IP = 0;
export const IP_MTU_DISCOVER = 10;
export const IP_PMTUDISC_INTERFACE = 4;
export const IP_MTU = 14;

export const IPPROTO_IPV6 = 41;
export const IPV6_MTU_DISCOVER = 23;
export const IPV6_PMTUDISC_DO = 2;
export const IPV6_MTU = 24;
export const IPV6_V6ONLY = 26;

export const SOL_UDP = 17;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

/** Most pieces in one message and most messages in one call. */
export const UIO_MAXIOV = 1024;

export const POLLIN = 0x1;
export const POLLERR_HUP_NVAL = 0x8 | 0x10 | 0x20;

export const TUNSETIFF = 0x400454ca;
export const TUNSETPERSIST = 0x400454cb;
export const TUNSETOWNER = 0x400454cc;
export const TUNSETGROUP = 0x400454ce;
export const TUNSETOFFLOAD = 0x400454d0;
export const TUNSETVNETHDRSZ = 0x400454d8;
export const IFF_TUN = 0x1;
export const IFF_NO_PI = 0x1000;
export const IFF_VNET_HDR = 0x4000;
export const TUN_F_CSUM = 0x1;
export const TUN_F_TSO4 = 0x2;
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;
