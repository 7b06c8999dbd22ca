// Limits of the work on the firewall. Times are in milliseconds, sizes in bytes.

export const LIMITS = {
  /**
   * Shortest pause between two looks. After `repairsAtOnce` repairs each further one doubles it, up to `forgiveMs`;
   * one repair is forgiven each `forgiveMs`.
   */
  firewallFight: { repairsAtOnce: 20, pauseMs: 500, forgiveMs: 10_000 },
  /** Longest time for one run of iptables-restore or nft. */
  firewallCommandMs: 10_000,
  /** iptables-restore waits this long, in seconds, for the lock that all users of iptables share; less than a run. */
  iptablesLockSeconds: 5,
  /** Up to this size iptables-save prints all; above, our chains are looked at by name before all is printed again. */
  smallRuleSetBytes: 128 * 1024,
  /** Attempts to write rules while others change the same tables. */
  firewallAttempts: 3,
  /** Chains of others that one look reads in search of those that drop our packets. */
  foreignChains: 64,
} as const;
