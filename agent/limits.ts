// Every queue, batch, retry and time-out of the agent has a limit, and the limits are here.

export const LIMITS = {
  /** Time to live of a lease, in seconds; flannel's. */
  leaseTtlSeconds: 86_400,
  /** One request to the datastore. */
  datastoreRequestMs: 5_000,
  /** Between attempts to reach the datastore. */
  datastoreBackoff: { firstMs: 100, maxMs: 5_000 },
  /** Ping an idle connection to the datastore after this long, and give it up when unanswered for the second one. */
  datastorePingMs: 6_000,
  datastorePingTimeoutMs: 3_000,
  /** The largest answer of the datastore that is read, in bytes: 5,000 leases are about 1.5 MB. */
  datastoreAnswerBytes: 256 * 1024 * 1024,
  /** With several datastore servers: how long one may stay silent before the next one is asked as well. */
  datastoreStaggerMs: 200,
  /** The longest wait of the transport itself before it connects again. */
  datastoreReconnectMs: 1_000,
  /** From asking for the revision that a watch begins at until it stands: longer than both requests take. */
  datastoreHandoverMs: 10_000,
  /** A watch that stood this long starts its back-off anew when it breaks. */
  datastoreStableMs: 5_000,
  /** Changes that the stores in memory and in a folder remember for watchers that come late. */
  memoryStoreHistory: 16_384,
  fileStoreHistory: 256,
  /** Revisions of the file store that lie in its folder. */
  fileStoreRevisions: 64,
  /** How often the file store is looked at where the kernel's notifications fail. */
  fileStorePollMs: 1_000,
  /** Attempts to write the file store while other processes write it too. */
  fileStoreAttempts: 400,
  /** Questions about one lease that are answered at a time. */
  challengeAnswers: 64,
  /** Events of the datastore that wait for the agent. */
  storeEvents: 100_000,
  /** The text of a network configuration that is written, in bytes. */
  networkConfigBytes: 65_536,
  /** Attempts to get a subnet when others take them at the same time, before the store is read again. */
  claimAttempts: 64,
  /** How often it is looked whether the machine was suspended, and for how long it must have been to count. */
  suspensionLookMs: 2_000,
  suspensionMs: 5_000,
  /** How long the holder of a lease has to show that it is alive. */
  challengeWaitMs: 3_000,
  /** Netlink requests in one message, and the room for them and for their answers. */
  netlinkBatch: 128,
  /** More changes than these are made without listening to their echo, and all is read afterwards. */
  quietChanges: 3_000,
  netlinkBufferBytes: 1024 * 1024,
  /** One netlink request, and one whole dump. */
  netlinkRequestMs: 5_000,
  /** Room for what the kernel tells in a burst, and how often it is asked whether it was too much. */
  kernelEventBytes: 8 * 1024 * 1024,
  kernelLossMs: 1_000,
  /** Events of the kernel that wait for the reconciler. */
  kernelEvents: 200_000,
  /** From a kernel event to the reconciler's pass, so that a burst becomes one pass. */
  reconcileDelayMs: 20,
  /** Between passes that the kernel refused something in. */
  reconcileBackoff: { firstMs: 100, maxMs: 10_000 },
  /** A full pass without any event. */
  reconcileFullPassMs: 30_000,
  /** From a change of this host's interfaces to the look at them, and from one look to the next at least. */
  hostDelayMs: 50,
  hostPauseMs: 500,
  /** Another underlay, or another address on it, must have stood this long. */
  hostSettleMs: 300,
  /** A look at this host's interfaces without anybody telling. */
  hostLookMs: 30_000,
  /** Refusals of the kernel that one pass writes to the log. */
  reportedFailures: 5,
  /** Malformed entries of the datastore that are written to the log one by one. */
  reportedMalformed: 20,
  /** A listing without so many leases that were known, if they are most of them, is not believed by itself. */
  vanishedLeases: 5,
  /**
   * From such a listing, or from the network configuration's return, to the second one; up to half more by chance.
   * Longer than it takes every node to reach the datastore again and to take its subnet.
   */
  vanishedPauseMs: 8_000,
  /**
   * From an event of the datastore to the new plan, so that a burst becomes one. The more leases there are, the more a
   * plan costs, and the more events share one: it is 160 ms with 5,000.
   */
  planDelayMs: 10,
  planDelayMsPerLease: 0.03,
  /** Up to here a network is small, and its start is run in little memory rather than fast. */
  smallNetworkLeases: 500,
  /** From a change of the firewall's rules to the look at ours. */
  firewallDelayMs: 50,
  /**
   * From one look to the next at least. After so many repairs at once each further one doubles it, up to `forgiveMs`;
   * one repair is forgiven each `forgiveMs`.
   */
  firewallFight: { repairsAtOnce: 20, pauseMs: 500, forgiveMs: 10_000 },
  /** One run of iptables-restore or nft. */
  firewallCommandMs: 10_000,
  /** Text of iptables-save; where it is longer, our chains are looked at by name before all is printed again. */
  smallRuleSetBytes: 128 * 1024,
  /** How long iptables-restore waits for the lock that all users of iptables share; less than firewallCommandMs. */
  iptablesLockSeconds: 5,
  /** Attempts to write rules while others change the same tables. */
  firewallAttempts: 3,
  /** Chains of others that are read in one look for those that drop what we accept. */
  foreignChains: 64,
  /** As much of subnet.env as is read, in bytes; flannel's has less than 200. */
  subnetFileBytes: 4_096,
  /** A call to the kernel, the firewall or a file that takes so long makes the node not ready, or calls for a restart. */
  slowCallMs: 4_000,
  hangingCallMs: 60_000,
  /** The HTTP server: one request with its headers, the headers' size, connections at a time. */
  httpRequestMs: 5_000,
  httpHeaderBytes: 8_192,
  httpConnections: 256,
  /** One message to the service manager; less than stopMs, as the last one is sent while stopping. */
  serviceNotifyMs: 600,
  /** Peers of the udp backend's forwarder; those beyond are left out. */
  udpPeers: 8_192,
  /** ICMP errors of the forwarder: at once, and a second. */
  udpIcmp: { burst: 64, perSecond: 100 },
  /** Peers to whom less than our own link's size is known to pass, and how long that is believed. */
  udpPathLimits: 8_192,
  udpPathLimitMs: 10_000,
  /** Reads from the TUN device, and receives from the socket, before the forwarder looks to the other side. */
  udpTurnReads: 64,
  udpTurnReceives: 8,
  /** The forwarder looks around at least this often, even if nobody wakes it. */
  udpIdleMs: 1_000,
  /** Failures in a row to read or receive before the forwarder gives up. */
  udpFailures: 64,
  /** Between attempts to open the forwarder's device and socket again. */
  udpReopen: { firstMs: 50, maxMs: 1_000 },
  /** Room for datagrams on their way, each way; the kernel takes it from us, whatever its limit. */
  udpSocketBufferBytes: 8 * 1024 * 1024,
  /** From telling the forwarder to stop to ending its thread. */
  udpStopMs: 400,
  /** Long work lets others have a turn so often; /healthz has 100 ms. */
  sliceMs: 5,
  /** From SIGTERM to the end of the process. */
  stopMs: 900,
} as const;
