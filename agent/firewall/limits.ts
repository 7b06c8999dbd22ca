// Limits of the firewall. Times are in milliseconds where nothing else is said, sizes in bytes.

export const LIMITS = {
  /**
   * The back-off of repairs. `pauseMs` is the shortest pause between two checks. Each repair above `burst` doubles it,
   * up to `leakMs`. The counter of repairs loses one in each `leakMs`.
   */
  repairBackoff: { burst: 20, pauseMs: 500, leakMs: 10_000 },
  /** Longest time for one run of iptables, iptables-restore or nft. Beside 100,000 rules one may take 20 s. */
  firewallCommandMs: 60_000,
  /** Longest wait of iptables-restore for the lock that all users of iptables share. Shorter than a run. */
  iptablesLockSeconds: 5,
  /** Of a chain whose listing is longer, the first rule alone is read. It is 10,000 rules. */
  chainBytes: 1024 * 1024,
  /**
   * Looks at the old iptables take at most one of `quietParts` of the time while its tables keep their sizes. While
   * others change them, they take one of `firstParts`, and half as much after each look that finds nothing.
   */
  oldTables: { quietParts: 200, firstParts: 10 },
  /** The tunnel filter stops to drop by itself so long after the agent has renewed it last. */
  tunnelGuardSeconds: 600,
  /** Of a program's command line. Linux takes 131,071 in one argument. */
  argumentBytes: 100_000,
  /** Attempts to write rules while other programs change the same tables. */
  firewallAttempts: 3,
  /** Foreign chains, and maps of them, that one search for obstacles reads. */
  foreignChains: 64,
  /** Rules of a foreign chain that is read. A longer one may drop. */
  foreignRules: 1_000,
  /** Rules that one search evaluates, for all flows. It takes less than a tenth of a second. */
  evaluatedRules: 50_000,
  /** Bridges whose flows a search follows. */
  followedBridges: 8,
  /** Obstacles that are named. */
  obstacles: 10,
  /** Of the text of a foreign rule in a message. */
  ruleChars: 120,
} as const;
