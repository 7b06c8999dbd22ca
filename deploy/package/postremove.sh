#!/bin/sh
# After the removal.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
