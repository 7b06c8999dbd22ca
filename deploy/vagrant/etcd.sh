#!/bin/sh
# Makes this VM the datastore: etcd for all nodes, and the configuration of the network. It comes after node.sh. Root
# runs it. A second time it changes nothing.
#
#     etcd.sh ADDRESS BACKEND      the address of this VM between the VMs, and the backend of the network
set -eu
address=$1
backend=$2
. /opt/twill-demo/functions.sh
url=http://$address:2379

install_packages etcd-server
if put /etc/systemd/system/etcd.service.d/twill-demo.conf <<END; then
[Service]
Environment=ETCD_LISTEN_CLIENT_URLS=$url ETCD_ADVERTISE_CLIENT_URLS=$url
END
  systemctl daemon-reload
  systemctl --quiet enable etcd.service
  systemctl restart etcd.service
fi

if network=$(twill network get --etcd-endpoints="$url" 2>/dev/null); then
  echo "the network is there: $network"
else
  network="{\"Network\": \"10.5.0.0/16\", \"Backend\": {\"Type\": \"$backend\"}}"
  twill network set "$network" --etcd-endpoints="$url"
fi
