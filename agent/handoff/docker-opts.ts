// The flags of dockerd in a file of variables, as flannel's mk-docker-opts.sh writes them. A unit reads the file with
// EnvironmentFile= and has $DOCKER_OPTS on its command line.
import type { SubnetEnv } from '../model/hand-off.ts';
import { addressAt, formatPrefix } from '../model/ip.ts';
import { DAEMON_FILE, type DockerFlags, daemonWarnings } from './daemon-json.ts';
import type { Form } from './form.ts';

export const DOCKER_OPTS_MODE = 0o644;

/** Which variables there are. */
export interface DockerOptsForm {
  /** One variable for each flag: DOCKER_OPT_BIP and the like. */
  readonly individual: boolean;
  /** The variable with all flags; undefined: none. */
  readonly combined?: {
    readonly key: string;
    /** Flags that come before ours. */
    readonly before: string;
  };
}

const BOTH_FORMS: DockerOptsForm = { individual: true, combined: { key: 'DOCKER_OPTS', before: '' } };

/** Formats the file. The combined text begins with a blank, as flannel's does. */
export function formatDockerOpts(
  { bip, ipMasq, mtuBytes }: DockerFlags,
  { individual, combined }: DockerOptsForm,
): string {
  const flags = [
    ['BIP', `--bip=${formatPrefix(bip)}`],
    ['IPMASQ', ipMasq === undefined ? undefined : `--ip-masq=${ipMasq}`],
    ['MTU', mtuBytes === undefined ? undefined : `--mtu=${mtuBytes}`],
  ].filter((flag): flag is [string, string] => flag[1] !== undefined);
  const lines = individual ? flags.map(([name, text]) => assignment(`DOCKER_OPT_${name}`, text)) : [];
  if (combined !== undefined) {
    const { key, before } = combined;
    const all = flags.map(([, text]) => ` ${text}`).join('');
    lines.push(assignment(key, before === '' ? all : `${before} ${all}`));
  }
  return lines.map((line) => `${line}\n`).join('');
}

function dockerFlags({ subnet, mtuBytes, ipMasq }: SubnetEnv): DockerFlags {
  return { bip: { ...subnet, address: addressAt(subnet, 1) }, ipMasq: !ipMasq, mtuBytes };
}

/** The form of the file at `path`, in both forms. `daemonFile` is Docker's own configuration. */
export function dockerOptsForm(path: string, daemonFile = DAEMON_FILE): Form {
  return {
    path,
    mode: DOCKER_OPTS_MODE,
    format: (env) => formatDockerOpts(dockerFlags(env), BOTH_FORMS),
    isOurs: isDockerOpts,
    readWarnings: (env) => daemonWarnings(daemonFile, dockerFlags(env)),
  };
}

// All flags in one variable come after two blanks, or after one where they are alone: few people write them so.
const FLAGS = '--bip=[\\d./]+(?: --ip-masq=(?:true|false))?(?: --mtu=\\d+)?';
const OPTS_LINE = new RegExp(
  `^(?:DOCKER_OPT_(?:BIP|IPMASQ|MTU)="--(?:bip|ip-masq|mtu)=[^"]*"|[A-Za-z_]\\w*="(?:.* )? ${FLAGS}")$`,
);

/** Whether a text is in the form of mk-docker-opts.sh: nothing but variables with our flags. */
function isDockerOpts(text: string): boolean {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.length > 0 && lines.every((line) => OPTS_LINE.test(line));
}

// The shell and systemd read the same four escapes in double quotes.
function assignment(name: string, value: string): string {
  return `${name}="${value.replaceAll(/["$`\\]/g, '\\$&')}"`;
}
