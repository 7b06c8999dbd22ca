#!/bin/sh
# Makes this VM a node: the agent and Docker under systemd, and one container, twill-demo.service. It waits for none of
# them, because the VM with etcd may come up later. Root runs it. A second time it changes nothing.
#
#     node.sh ADDRESS ETCD      the address of this VM between the VMs, and that of the VM with etcd
set -eu
address=$1
etcd=$2
. /opt/twill-demo/functions.sh

install_packages nodejs iptables nftables busybox-static

# The package of the agent. A build of the same version may be another one.
deb=/opt/twill-packages/$(cd /opt/twill-packages && echo twill_*_"$(dpkg --print-architecture)".deb)
[ -f "$deb" ] || {
  echo "node.sh: $deb is not one package: run \`npm run package\` and \`vagrant rsync\` on the host" >&2
  exit 1
}
installed=/var/lib/twill-demo/twill.deb
if ! cmp -s "$deb" $installed; then
  dpkg --install "$deb" >/dev/null
  put $installed <"$deb"
fi

# By the address: the names of the interfaces differ between boxes.
if put /etc/default/twill <<END; then
FLANNELD_ETCD_ENDPOINTS=http://$etcd:2379
FLANNELD_IFACE=$address
FLANNELD_IP_MASQ=true
END
  systemctl --quiet enable twill.service
  systemctl --no-block restart twill.service
fi

# Docker starts by itself when this node has its subnet. The program writes a line where it has changed Docker's unit.
install_packages docker.io docker-cli
wrote=$(/usr/lib/twill/docker-drop-in)
if [ -n "$wrote" ]; then
  systemctl --quiet enable docker.service
  systemctl --no-block restart docker.service
fi

if put /etc/systemd/system/twill-demo.service </opt/twill-demo/twill-demo.service; then
  systemctl daemon-reload
  systemctl --quiet enable twill-demo.service
  systemctl --no-block restart twill-demo.service
fi
