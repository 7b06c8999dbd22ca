#!/bin/sh
# After the installation. dpkg calls it with `configure` and the version before, if there was one; so does install.sh.
# rpm calls it with 1, and with 2 after an upgrade.
#
# A first installation starts nothing: nobody has said which datastore. An upgrade restarts an agent that runs. Packets
# flow meanwhile. It is not waited for, because an agent is not ready until its datastore answers.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemd-tmpfiles --create /usr/lib/tmpfiles.d/twill.conf
case "$1:$2" in
  configure:?* | 2:*) systemctl --no-block try-restart twill.service ;;
esac
