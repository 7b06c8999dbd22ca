// The operator's options of every node of a simulated cluster.
import type { NodeOptions } from '../../agent/model/node-options.ts';

export const NODE_OPTIONS: NodeOptions = {
  ipMasq: true,
  randomFully: true,
  forwardRules: true,
  tunnelFilter: true,
  ipForward: true,
  dockerDirect: true,
  blackholeRoute: true,
  firewallResyncSeconds: 60,
};
