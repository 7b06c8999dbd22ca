#!/bin/sh
# Before the removal. dpkg and uninstall.sh call it with `remove`, rpm with 0. It stops the agent, and removes from the
# host what the agent made: nobody would look after it. dpkg removes the program before it says whether it purges, so
# both do this. An upgrade does nothing here.
set -e
case "$1" in
  remove | 0) ;;
  *) exit 0 ;;
esac
cleanup='/usr/bin/twill cleanup'
if [ -d /run/systemd/system ]; then
  systemctl --quiet disable --now twill.service twill-docker.path ||
    echo 'twill: twill.service was not stopped' >&2
  # Without our programs Docker would not start again. It runs on meanwhile.
  /usr/lib/twill/docker-drop-in --remove || echo "twill: the drop-in of docker.service stays" >&2
  # By systemd: it reads the settings, whose syntax is not quite a shell's, and it has the host's network. Some releases
  # of rpm take that from scripts.
  settings=
  for file in default/twill sysconfig/twill twill/twill.env; do
    settings="$settings --property=EnvironmentFile=-/etc/$file"
  done
  cleanup="systemd-run --quiet --wait --pipe --collect $settings $cleanup"
fi
# flanneld uses the same device, routes and rules. It may run in a container, too.
if grep -qsx flanneld /proc/[0-9]*/comm; then
  echo 'twill: flanneld runs on this host: the network stays' >&2
else
  # A host that cannot be cleaned up must not keep the package from going.
  $cleanup || echo 'twill: the host was not cleaned up; a reboot removes the rest' >&2
fi
if [ -d /run/flannel ]; then rmdir --ignore-fail-on-non-empty /run/flannel; fi
