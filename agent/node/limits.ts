// Limits of the loops of a node. Times are in milliseconds.

export const LIMITS = {
  /** Interval of the check for a suspension, and the shortest suspension that counts. */
  suspensionLookMs: 2_000,
  suspensionMs: 5_000,
  /** Debounce and rate limit of looks at this host's interfaces. The pause lasts as long as some looks, at least. */
  hostDelayMs: 50,
  hostPauseMs: 500,
  hostPauseLooks: 5,
  hostPauseMaxMs: 5_000,
  /** Another address of the underlay link, or our address on another link, counts after this time. */
  hostSettleMs: 700,
  /** An underlay that is down or gone gives way to another one after this time. Networks are often restarted. */
  hostLeaveMs: 5_000,
  /** The rate limit while no underlay is usable: any event of the host may be the cure. */
  hostRetryMs: 100,
  /** Intervals of looks at this host's interfaces without any event: where none is told of, and where all are. */
  hostLookMs: 30_000,
  hostWatchedLookMs: 300_000,
  /** Pause after the system refused to tell of the interfaces: no event will say that it would tell now. */
  hostReadAgainMs: 2_000,
  /** Peers whose faults are logged one by one, at one time. */
  reportedPeers: 5,
  /** Interval of looks whether the node is ready for the first time. */
  readyLookMs: 100,
  /** Things that one lease gets back when it claims them again. A peer has about five at a time. */
  owedThings: 8,
  /** Malformed entries of the datastore that are logged one by one, in each period, and characters of their fields. */
  reportedMalformed: 20,
  reportPeriodMs: 60_000,
  reportChars: 300,
  /**
   * From a doubtful listing, or from the network configuration's return, to the second listing; up to half more by
   * chance. Longer than it takes every node to reach the datastore again and to take its subnet.
   */
  vanishedPauseMs: 8_000,
  /**
   * Pause after a pass: events within it share the next pass. A data plane in user space is handed all peers at a time,
   * so its pause grows with them: it is 160 ms with 5,000.
   */
  passPauseMs: 10,
  passPauseMsPerPeer: 0.03,
  /** Pauses between passes, or attempts to hand off, that failed. */
  retryBackoff: { firstMs: 100, maxMs: 10_000 },
  /** Most leases of a small network, whose agent saves memory. That of a large one saves time. */
  smallNetworkLeases: 2_000,
  /** Shortest and longest pause between two records of the data plane's input. An old record is not believed. */
  recordPauseMs: 1_000,
  recordAgainMs: 60_000,
  /** Interval of looks at the host's forwarding. */
  hostCheckMs: 2_000,
  /** Interval of looks at its addresses and routes. It grows with the addresses: it is 56 s with 5,000, and no more. */
  hostCheckAllMs: 6_000,
  hostCheckMsPerAddress: 10,
  /** Rate limit of looks at them after a change. */
  hostCheckPauseMs: 200,
  countedAddresses: 5_000,
  /** A setting that another program has turned off again stays so for this time. */
  openAgainMs: 60_000,
  /** Peers whose routes are looked up, bridges of our subnet, and warnings, all in one look at the host. */
  routeSamples: 8,
  checkedBridges: 16,
  hostWarnings: 10,
  /** Subnets of this node that are remembered: a bridge may still have one. */
  knownSubnets: 8,
  /** Debounce of looks at our firewall rules. */
  firewallDelayMs: 50,
  /** Interval of looks at our firewall rules where the kernel tells of their changes. */
  firewallAnnouncedMs: 60_000,
  /**
   * The parts of time of which looks at the rules may take one: looks without a reason, looks after a change of our
   * rules, and searches for obstacles, which go on to the first while they find nothing new.
   */
  firewallIdleParts: 200,
  firewallBusyParts: 2,
  firewallSearchParts: 2,
  /** Changes of the tunnel filter take one of so many parts of the time. */
  tunnelParts: 2,
  /** The tunnel filter is written anew so often. It drops nothing any more after 600 s. */
  tunnelRenewMs: 180_000,
  /** Pauses between attempts to write it that failed. */
  tunnelBackoff: { firstMs: 1_000, maxMs: 30_000 },
  /** A call to the kernel, the firewall or a file that takes this long makes the node not ready. */
  slowCallMs: 4_000,
  /** A call that takes this long hangs: only a restart helps. */
  hangingCallMs: 60_000,
  /** A call to the firewall runs some commands, each of which is ended after a minute. It hangs after this time. */
  firewallCallMs: 600_000,
} as const;
