// The structure of the program as data: which part may use which, and which file is the one door to each package
// and to each global that would otherwise be used from everywhere.

/** A part of the program. */
export interface Layer {
  readonly name: string;
  readonly files: RegExp;
  /** Names of the other layers that it may import; a file may always import from its own. */
  readonly uses: readonly string[];
}

const FOUNDATION = ['base', 'model'];
// Claims, sessions and challenges: a contract between two parts. A node does not import it.
const LEASE_STORE = 'lease store';

// They never import each other: only agent.ts brings them together.
const SIBLINGS = ['datastore', 'lease', 'kernel', 'kubernetes', 'firewall', 'handoff', 'observe'];
// The client of the Kubernetes API: it could be a package of its own, and knows no word of the domain.
const KUBERNETES_API = 'kubernetes api';
const EXTRA_USES: Readonly<Record<string, readonly string[]>> = {
  lease: [LEASE_STORE],
  datastore: [LEASE_STORE],
  kubernetes: [KUBERNETES_API],
};
const BACKENDS = ['alloc', 'host-gw', 'vxlan', 'udp', 'wireguard', 'ipip', 'extension'];
const PARTS = [...SIBLINGS, 'options', 'backends'];

export const LAYERS: readonly Layer[] = [
  { name: 'base', files: /^agent\/base\//, uses: [] },
  { name: LEASE_STORE, files: /^agent\/model\/lease-store\.ts$/, uses: FOUNDATION },
  { name: 'model', files: /^agent\/model\//, uses: ['base'] },
  { name: 'options', files: /^agent\/options(?:\/|\.ts$)/, uses: FOUNDATION },
  { name: KUBERNETES_API, files: /^agent\/kubernetes\/api\//, uses: ['base'] },
  ...SIBLINGS.map((name) => ({
    name,
    files: new RegExp(`^agent/${name}/`),
    uses: [...FOUNDATION, ...(EXTRA_USES[name] ?? [])],
  })),
  // A package of its own: it holds no code of the program, and the program imports only its exports.
  { name: 'dgram-native', files: /^backends\/dgram-native\//, uses: [] },
  ...BACKENDS.map((name) => ({
    name: `backend ${name}`,
    files: new RegExp(`^backends/${name}/`),
    uses: FOUNDATION,
  })),
  {
    name: 'backends',
    files: /^backends\/index\.ts$/,
    uses: [...FOUNDATION, ...BACKENDS.map((name) => `backend ${name}`)],
  },
  // The loops of a node, over contracts only.
  { name: 'node', files: /^agent\/node\//, uses: [...FOUNDATION, ...PARTS] },
  // The agent connects the parts. It runs them, plans a host and cleans it up.
  {
    name: 'agent',
    files: /^agent\/(?:agent|open-leases|resume|host-plan|host-cleanup|serve-status)\.ts$/,
    uses: [...FOUNDATION, ...PARTS, 'node'],
  },
  { name: 'cli', files: /^agent\/cli\//, uses: [...FOUNDATION, ...PARTS, 'agent'] },
  { name: 'main', files: /^agent\/(?:main|process)\.ts$/, uses: ['base', 'cli'] },
];

// The layers below the suites: builders and captures; fakes of the world; hosts and programs on the real kernel.
const TEST_BASE = ['support', 'fakes', 'lab'];

/** The folders of the tests. Each may use the whole program; a suite never uses another one. */
export const TEST_LAYERS: readonly Layer[] = [
  { name: 'tidy', files: /^test\/tidy(?:\/|\.test\.ts$)/, uses: [] },
  { name: 'support', files: /^test\/support\//, uses: [] },
  { name: 'fakes', files: /^test\/fakes\//, uses: ['support'] },
  { name: 'lab', files: /^test\/lab\//, uses: [] },
  { name: 'faults', files: /^test\/faults\//, uses: TEST_BASE },
  // A program like the lab's demo. Its benchmark of healing times measures the rows of the fault table.
  { name: 'bench', files: /^test\/bench\//, uses: ['lab', 'faults'] },
  // The tests' own tools have unit tests too.
  { name: 'unit', files: /^test\/unit\//, uses: [...TEST_BASE, 'bench'] },
  ...['conformance', 'kubernetes', 'kernel', 'e2e', 'hostile', 'containers', 'hosts'].map((name) => ({
    name,
    files: new RegExp(`^test/${name}/`),
    uses: TEST_BASE,
  })),
  { name: 'simulation', files: /^test\/simulation\//, uses: ['support', 'fakes'] },
];

/** Something that may be used only behind its doors. */
export interface Door {
  readonly name: string;
  /** Paths, or beginnings of paths that end in a slash. Empty: no file may use it. */
  readonly doors: readonly string[];
}

/** Every package that the program imports. */
export const PACKAGE_DOORS: readonly Door[] = [
  {
    name: 'dgram-native',
    doors: [
      'agent/kernel/netlink/tun-link.ts',
      'agent/kernel/netlink/overrun.ts',
      'agent/kernel/old-iptables.ts',
      'agent/observe/sd-notify.ts',
      'backends/udp/',
    ],
  },
  { name: 'ipaddr.js', doors: ['agent/model/ip.ts'] },
  { name: 'koffi', doors: ['backends/dgram-native/src/libc.ts'] },
  { name: 'loglevel', doors: ['agent/base/log.ts'] },
  { name: 'netlink', doors: ['agent/kernel/netlink/library.ts'] },
  { name: 'prom-client', doors: ['agent/observe/prometheus.ts', 'agent/observe/prom-client.d.ts'] },
  { name: 're2js', doors: ['agent/options/interface-regex.ts'] },
  { name: 'valibot', doors: ['agent/base/valibot.ts'] },
  { name: 'yaml', doors: ['agent/kubernetes/api/kubeconfig.ts'] },
];

/** Modules of Node that reach out of the process; the others are free, and so are their types. */
export const MODULE_DOORS: readonly Door[] = [
  { name: 'node:child_process', doors: ['agent/base/exec.ts'] },
  { name: 'node:dns', doors: ['agent/datastore/rotating-lookup.ts'] },
  { name: 'node:http2', doors: ['agent/datastore/grpc.ts'] },
  { name: 'node:tls', doors: ['agent/datastore/grpc.ts'] },
  {
    name: 'node:http',
    doors: [
      'agent/kubernetes/api/transport.ts',
      'agent/observe/http-server.ts',
      'agent/observe/status-client.ts',
    ],
  },
  { name: 'node:https', doors: ['agent/kubernetes/api/transport.ts'] },
  { name: 'node:net', doors: [] },
  { name: 'node:dgram', doors: [] },
  { name: 'node:cluster', doors: [] },
  { name: 'node:process', doors: [] },
  { name: 'node:timers', doors: [] },
  { name: 'node:timers/promises', doors: [] },
  { name: 'node:v8', doors: ['agent/base/engine.ts'] },
  { name: 'node:vm', doors: [] },
  {
    name: 'node:worker_threads',
    doors: ['backends/udp/forwarder-control.ts', 'backends/udp/forwarder-worker.ts'],
  },
];

export interface GlobalDoor extends Door {
  /** Finds it in code without comments and texts. */
  readonly pattern: RegExp;
}

const MAIN = ['agent/process.ts'];
const CLOCK = ['agent/base/clock.ts'];

export const GLOBAL_DOORS: readonly GlobalDoor[] = [
  { name: 'process.exit', pattern: /\bprocess\.(?:exit|exitCode|abort|reallyExit)\b/g, doors: MAIN },
  { name: 'process.env', pattern: /\bprocess\.env\b/g, doors: [...MAIN, 'agent/base/exec.ts'] },
  { name: 'process.argv', pattern: /\bprocess\.(?:argv|argv0|execArgv)\b/g, doors: MAIN },
  {
    name: 'process.on',
    pattern: /\bprocess\.(?:on|once|off|addListener|removeAllListeners|emitWarning|kill)\b/g,
    doors: [...MAIN, 'agent/main.ts'],
  },
  { name: 'process.stdout', pattern: /\bprocess\.(?:stdin|stdout)\b/g, doors: MAIN },
  { name: 'process.stderr', pattern: /\bprocess\.stderr\b/g, doors: [...MAIN, 'agent/base/log.ts'] },
  {
    name: 'process by another name',
    pattern: /(?:\bglobalThis\b|\bprocess\s*\[|=\s*process\b(?!\.))/g,
    doors: [],
  },
  { name: 'console', pattern: /\bconsole\./g, doors: [] },
  { name: 'Date.now', pattern: /\bDate\.now\b|\bnew\s+Date\(\s*\)|(?<!new\s)\bDate\(/g, doors: CLOCK },
  {
    name: 'performance.now',
    pattern: /\bperformance\.|\bprocess\.(?:hrtime|uptime)\b/g,
    doors: [...CLOCK, 'backends/dgram-native/src/poller.ts'],
  },
  {
    name: 'timers',
    pattern: /(?<![.\w])(?:setTimeout|setInterval|setImmediate)\b|\bAbortSignal\.timeout\b/g,
    doors: CLOCK,
  },
  { name: 'Math.random', pattern: /\bMath\.random\b/g, doors: ['agent/base/random.ts'] },
  { name: 'fetch', pattern: /(?<![.\w])(?:fetch|WebSocket|EventSource|XMLHttpRequest)\b\s*\(/g, doors: [] },
  {
    name: 'code from text',
    pattern: /(?<![.\w])eval\s*\(|\bnew\s+Function\b|(?<![.\w])Function\s*\(/g,
    doors: [],
  },
];

/** Constructs that our code does without. */
export const HABITS: readonly { readonly name: string; readonly pattern: RegExp }[] = [
  { name: 'default exports', pattern: /\bexport\s+default\b|\bas\s+default\b/g },
  { name: 'enums', pattern: /\benum\s+\w+\s*\{/g },
  { name: 'namespaces', pattern: /\b(?:namespace|module)\s+[\w.]+\s*\{/g },
  { name: '`any`', pattern: /(?:[:<,|&[(=]\s*|\b(?:as|satisfies|extends)\s+)any\b(?!\s*[(:])/g },
  { name: 'require', pattern: /(?<![.\w])require\s*\(/g },
  { name: 'non-null assertions', pattern: /[\w)\]]!(?=[.;,)\]])/g },
];
