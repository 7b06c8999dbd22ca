// The operator's options of a node, in any world.

export interface NodeOptions {
  readonly ipMasq: boolean;
  /** Masquerade with random source ports where supported. */
  readonly randomFully: boolean;
  /** Accept forwarded overlay packets. */
  readonly forwardRules: boolean;
  /** Let packets through the tunnel port from peers alone. */
  readonly tunnelFilter: boolean;
  /** Let the host forward packets where it does not. */
  readonly ipForward: boolean;
  /** Accept packets of peers to containers before Docker drops them. */
  readonly dockerDirect: boolean;
  /** Drop packets to addresses of our own subnet that no container has. */
  readonly blackholeRoute: boolean;
  /** Addresses of the datastore, as far as they are known. Default: none. */
  readonly datastoreAddresses?: readonly string[];
  /** Seconds between checks of the firewall rules. */
  readonly firewallResyncSeconds: number;
}
