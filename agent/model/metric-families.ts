// All families of metrics: names, meanings and labels. README's chapter is made of this table, and the tests hold the
// alerts, the dashboard and running agents to it. The parts use its names alone; the first scrape loads it.

export interface Family {
  /** A counter only grows while the agent runs. */
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Meaning, one line. The name has the unit. */
  readonly help: string;
  /**
   * The values of each label; undefined: any text. A family whose values are all known has a number for each of them,
   * 0 where its part gives none. No label has a value for each peer.
   */
  readonly labels?: Readonly<Record<string, readonly string[] | undefined>>;
}

const OBJECT_KINDS = ['link', 'addr', 'neigh', 'fdb', 'route'] as const;
const RESULTS = ['ok', 'failed'] as const;
const DIRECTIONS = ['in', 'out'] as const;

/** The parts that have conditions. */
export const CONDITION_PARTS = [
  'calls',
  'data plane',
  'datastore',
  'firewall',
  'hand-off',
  'host',
  'kernel',
  'lease',
  'leases',
  'network',
  'obstacle',
  'start',
  'underlay',
] as const;

/** The reasons for which the udp backend drops a packet. */
export const UDP_DROP_REASONS = [
  'short',
  'version',
  'header_length',
  'total_length',
  'checksum',
  'source_port',
  'stranger',
  'spoofed',
  'misdirected',
  'truncated',
  'hops',
  'no_route',
  'too_big',
  'offload',
  'send_refused',
  'send_full',
  'tun_refused',
] as const;

export const METRIC_FAMILIES = {
  twill_build_info: {
    type: 'gauge',
    help: 'Always 1. The labels tell the versions of Twill and of Node.js, and the architecture.',
    labels: { version: undefined, node: undefined, arch: undefined },
  },
  twill_ready: { type: 'gauge', help: 'Whether /readyz answers 200.' },
  twill_condition: {
    type: 'gauge',
    help: 'Whether a part has a condition now: it waits for something that is no fault, or something is wrong.',
    labels: { part: CONDITION_PARTS, state: ['failing', 'waiting'] },
  },
  twill_network_info: {
    type: 'gauge',
    help: 'Always 1. The labels tell the network, its backend, the subnet of this node and the underlay link.',
    labels: { backend: undefined, network: undefined, subnet: undefined, link: undefined },
  },
  twill_mtu_bytes: { type: 'gauge', help: 'MTU of the overlay, as it is handed to engines.' },
  twill_lease_expiry_timestamp_seconds: {
    type: 'gauge',
    help: 'When our lease expires unless it is renewed. Absent for a reservation and in Kubernetes.',
  },
  twill_lease_renewals_total: {
    type: 'counter',
    help: 'Attempts to renew our lease. A lost one had ended, or was deleted.',
    labels: { result: ['ok', 'failed', 'lost'] },
  },
  twill_leases: { type: 'gauge', help: 'Leases in the datastore, our own among them.' },
  twill_left_out_leases: { type: 'gauge', help: 'Leases that are left out because there are too many.' },
  twill_malformed_entries: { type: 'gauge', help: 'Entries of the datastore that are no leases.' },
  twill_subnets_free: { type: 'gauge', help: 'Subnets that can still be leased. Absent in Kubernetes.' },
  twill_store_info: {
    type: 'gauge',
    help: 'Always 1. The label tells the kind of the datastore.',
    labels: { kind: undefined },
  },
  twill_store_connected: { type: 'gauge', help: 'Whether the datastore answers.' },
  twill_store_last_contact_timestamp_seconds: { type: 'gauge', help: 'When the datastore answered last.' },
  twill_store_requests_total: {
    type: 'counter',
    help: 'Requests to the datastore. One that is given up, as at the end of the agent, counts as none.',
    labels: { op: ['list', 'read', 'create', 'update', 'delete', 'session', 'watch'], result: RESULTS },
  },
  twill_store_request_duration_seconds: {
    type: 'histogram',
    help: 'Time until the datastore answered or the request failed. A watch counts until it stands.',
  },
  twill_store_watch_restarts_total: {
    type: 'counter',
    help: 'Watches that ended and began anew, by the reason of their end.',
    labels: { reason: ['ended', 'failed', 'history_lost', 'reconnect'] },
  },
  twill_rewritten_annotations_total: {
    type: 'counter',
    help: 'Writes into our own Node after somebody else had changed our annotations. Kubernetes alone.',
  },
  twill_kernel_passes_total: {
    type: 'counter',
    help: 'Passes of the reconciler, which write what has changed, or read and compare everything.',
    labels: { result: RESULTS },
  },
  twill_kernel_pass_duration_seconds: { type: 'histogram', help: 'Time of a pass of the reconciler.' },
  twill_kernel_changes_total: {
    type: 'counter',
    help: 'Links, addresses, routes, neighbours and fdb entries that were written or deleted.',
    labels: { kind: OBJECT_KINDS, op: ['add', 'change', 'delete'] },
  },
  twill_kernel_refusals_total: {
    type: 'counter',
    help: 'Changes that the kernel refused. Each attempt counts.',
    labels: { kind: OBJECT_KINDS },
  },
  twill_kernel_objects: {
    type: 'gauge',
    help: 'Objects that the kernel should hold for this node.',
    labels: { kind: OBJECT_KINDS },
  },
  twill_repaired_objects_total: {
    type: 'counter',
    help: 'Objects that were put back after somebody else had changed them.',
    labels: { kind: OBJECT_KINDS },
  },
  twill_firewall_repairs_total: {
    type: 'counter',
    help: 'Repairs of our firewall rules after somebody else had changed them.',
  },
  twill_firewall_obstacles: { type: 'gauge', help: 'Foreign chains that drop packets of containers.' },
  twill_peers: {
    type: 'gauge',
    help: 'Other nodes: the kernel is told the way to them, a fault of theirs stops that, or their backend is another.',
    labels: { state: ['routed', 'faulty', 'other_backend'] },
  },
  twill_udp_packets_total: {
    type: 'counter',
    help: 'Packets that the udp backend has moved: in from peers, or out to them.',
    labels: { direction: DIRECTIONS },
  },
  twill_udp_bytes_total: {
    type: 'counter',
    help: 'Bytes of these packets, without the headers of the tunnel.',
    labels: { direction: DIRECTIONS },
  },
  twill_udp_dropped_packets_total: {
    type: 'counter',
    help: 'Packets that the udp backend dropped.',
    labels: { reason: UDP_DROP_REASONS },
  },
  process_cpu_seconds_total: { type: 'counter', help: 'Processor time of the agent, in all its threads.' },
  process_resident_memory_bytes: { type: 'gauge', help: 'Memory of the agent that is in RAM.' },
  process_start_time_seconds: { type: 'gauge', help: 'When the process of the agent began.' },
  process_open_fds: { type: 'gauge', help: 'File descriptors that the agent has open.' },
} as const satisfies Readonly<Record<string, Family>>;

export type FamilyName = keyof typeof METRIC_FAMILIES;
