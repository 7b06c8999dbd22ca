// Plans the firewall rules of a node, and the traffic that they let pass.
import { planFirewall } from '../firewall/rules.ts';
import type { FirewallRules, Traffic } from '../model/firewall.ts';
import type { LocalBridge } from '../model/host-checks.ts';
import type { NodeOptions } from '../model/node-options.ts';
import type { Plane } from '../model/plane.ts';

export interface RulesPlan {
  readonly rules: FirewallRules;
  /** Foreign chains must let it pass; undefined: they need not. */
  readonly traffic: Traffic | undefined;
}

/**
 * Plans for a plane. `links`: those that packets of other nodes come in by; empty: no peer is known yet, and the
 * underlay will be one. `bridges`: those of this host that carry parts of our subnet.
 */
export type PlanRules = (
  plane: Plane,
  links: readonly string[],
  bridges: readonly LocalBridge[],
) => RulesPlan;

/** Each lease calls for a plan and changes none of its input: the last plan is kept for as long as that is the same. */
export function createRulesPlan(options: NodeOptions): PlanRules {
  let last: readonly [...Parameters<PlanRules>, RulesPlan] | undefined;
  return (plane, links, bridges) => {
    if (last?.[0] === plane && last[1] === links && last[2] === bridges) return last[3];
    const rules = planFirewall({ ...options, ...plane, links, bridges });
    const traffic = options.forwardRules ? trafficOf(plane, links, bridges) : undefined;
    last = [plane, links, bridges, { rules, traffic }];
    return last[3];
  };
}

function trafficOf(
  { network, subnet, underlay }: Plane,
  links: readonly string[],
  bridges: readonly LocalBridge[],
): Traffic {
  const peerLinks = links.length === 0 ? [underlay.name] : links;
  return { network, subnet, peerLinks, underlay: underlay.name, bridges };
}
