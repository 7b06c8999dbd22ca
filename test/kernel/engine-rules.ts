// The rule sets that container engines and firewalls make, as far as they decide about forwarded packets. The container
// network is 10.5.34.0/24, on docker0 or podman1.

/** Rules of iptables, by their table, as arguments of one run each. */
export type IptablesRules = readonly string[];

const NET = '10.5.34.0/24';
const SEEN = '-m conntrack --ctstate RELATED,ESTABLISHED';

/** Docker up to release 27. */
export const DOCKER_27: IptablesRules = [
  '-P FORWARD DROP',
  '-N DOCKER',
  '-N DOCKER-ISOLATION-STAGE-1',
  '-N DOCKER-ISOLATION-STAGE-2',
  '-N DOCKER-USER',
  '-A FORWARD -j DOCKER-USER',
  '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
  `-A FORWARD -o docker0 ${SEEN} -j ACCEPT`,
  '-A FORWARD -o docker0 -j DOCKER',
  '-A FORWARD -i docker0 ! -o docker0 -j ACCEPT',
  '-A FORWARD -i docker0 -o docker0 -j ACCEPT',
  '-A DOCKER -d 10.5.34.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT',
  '-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2',
  '-A DOCKER-ISOLATION-STAGE-1 -j RETURN',
  '-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP',
  '-A DOCKER-ISOLATION-STAGE-2 -j RETURN',
  '-A DOCKER-USER -j RETURN',
  '-t nat -N DOCKER',
  '-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
];

/** Docker 28.2 to 29 with its back end for iptables, and two containers. */
export const DOCKER_28: IptablesRules = [
  '-P FORWARD DROP',
  ...['DOCKER', 'DOCKER-BRIDGE', 'DOCKER-CT', 'DOCKER-FORWARD', 'DOCKER-INTERNAL', 'DOCKER-USER'].map(
    (chain) => `-N ${chain}`,
  ),
  '-A FORWARD -j DOCKER-USER',
  '-A FORWARD -j DOCKER-FORWARD',
  '-A DOCKER -d 10.5.34.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT',
  '-A DOCKER ! -i docker0 -o docker0 -j DROP',
  '-A DOCKER-BRIDGE -o docker0 -j DOCKER',
  `-A DOCKER-CT -o docker0 ${SEEN} -j ACCEPT`,
  '-A DOCKER-FORWARD -j DOCKER-CT',
  '-A DOCKER-FORWARD -j DOCKER-INTERNAL',
  '-A DOCKER-FORWARD -j DOCKER-BRIDGE',
  '-A DOCKER-FORWARD -i docker0 -j ACCEPT',
  '-t raw -A PREROUTING -d 10.5.34.2/32 ! -i docker0 -j DROP',
  '-t raw -A PREROUTING -d 10.5.34.3/32 ! -i docker0 -j DROP',
];

/** The masquerade that Docker has without --ip-masq=false. */
export const DOCKER_MASQUERADE: IptablesRules = [
  `-t nat -A POSTROUTING -s ${NET} ! -o docker0 -j MASQUERADE`,
];

/** ufw with its defaults. */
export const UFW: IptablesRules = [
  '-P FORWARD DROP',
  '-N ufw-before-forward',
  '-N ufw-user-forward',
  '-N ufw-after-logging-forward',
  '-A FORWARD -j ufw-before-forward',
  '-A FORWARD -j ufw-after-logging-forward',
  `-A ufw-before-forward ${SEEN} -j ACCEPT`,
  '-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT',
  '-A ufw-before-forward -j ufw-user-forward',
  '-A ufw-after-logging-forward -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
];

/** netavark with its driver for iptables. */
export const NETAVARK_IPTABLES: IptablesRules = [
  '-N NETAVARK_FORWARD',
  '-A FORWARD -j NETAVARK_FORWARD',
  '-A NETAVARK_FORWARD -m conntrack --ctstate INVALID -j DROP',
  `-A NETAVARK_FORWARD -d ${NET} ${SEEN} -j ACCEPT`,
  `-A NETAVARK_FORWARD -s ${NET} -j ACCEPT`,
  '-t nat -N NETAVARK-HOSTPORT-MASQ',
  '-t nat -N NETAVARK-1D8721804F16F',
  '-t nat -A NETAVARK-HOSTPORT-MASQ -m comment --comment "netavark portfw masq mark" -m mark --mark 0x2000/0x2000 -j MASQUERADE',
  '-t nat -A POSTROUTING -j NETAVARK-HOSTPORT-MASQ',
  `-t nat -A POSTROUTING -s ${NET} -j NETAVARK-1D8721804F16F`,
  `-t nat -A NETAVARK-1D8721804F16F -d ${NET} -j ACCEPT`,
  '-t nat -A NETAVARK-1D8721804F16F ! -d 224.0.0.0/4 -j MASQUERADE',
];

/** netavark with its driver for nftables. */
export const NETAVARK_NFT = `table inet netavark {
  chain FORWARD {
    type filter hook forward priority filter; policy accept;
    ct state invalid drop
    jump NETAVARK-ISOLATION-1
    ip daddr ${NET} ct state established,related accept
    ip saddr ${NET} accept
  }
  chain NETAVARK-ISOLATION-1 { iifname "podman1" oifname != "podman1" jump NETAVARK-ISOLATION-2; }
  chain NETAVARK-ISOLATION-2 { oifname "podman1" drop; }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x00002000 == 0x00002000 masquerade
    ip saddr ${NET} jump nv_2f259bab_10_5_34_0_nm24
  }
  chain nv_2f259bab_10_5_34_0_nm24 {
    ip daddr ${NET} accept
    ip daddr != 224.0.0.0/4 masquerade
  }
}`;

/**
 * Docker 29 with its back end for nftables. `mark`: that of --bridge-accept-fwmark. `isDirect`: whether direct routing
 * is allowed.
 */
export function docker29({ mark, isDirect }: { readonly mark?: string; readonly isDirect: boolean }): string {
  const accept =
    mark === undefined ? '' : `meta mark & ${mark} == ${mark} counter accept comment "ALLOW FW MARK"`;
  const drop = 'ip daddr 10.5.34.2 iifname != "docker0" counter drop comment "DROP DIRECT ACCESS"';
  return `table ip docker-bridges {
    map filter-forward-in-jumps {
      type ifname : verdict
      elements = { "docker0" : jump filter-forward-in__docker0 }
    }
    map filter-forward-out-jumps {
      type ifname : verdict
      elements = { "docker0" : jump filter-forward-out__docker0 }
    }
    map nat-postrouting-out-jumps {
      type ifname : verdict
      elements = { "docker0" : jump nat-postrouting-out__docker0 }
    }
    chain filter-FORWARD {
      type filter hook forward priority filter; policy accept;
      oifname vmap @filter-forward-in-jumps
      iifname vmap @filter-forward-out-jumps
    }
    chain filter-forward-in__docker0 {
      ct state established,related counter accept
      ${accept}
      iifname "docker0" counter accept comment "ICC"
      ip daddr 10.5.34.2 tcp dport 80 counter accept
      counter drop comment "UNPUBLISHED PORT DROP"
    }
    chain filter-forward-out__docker0 {
      ct state established,related counter accept
      counter accept comment "OUTGOING"
    }
    chain raw-PREROUTING {
      type filter hook prerouting priority raw; policy accept;
      ${isDirect ? '' : drop}
    }
    chain nat-POSTROUTING {
      type nat hook postrouting priority srcnat; policy accept;
      iifname vmap @nat-postrouting-out-jumps
    }
    chain nat-postrouting-out__docker0 {
      oifname != "docker0" ip saddr ${NET} counter masquerade comment "MASQUERADE"
    }
  }`;
}
