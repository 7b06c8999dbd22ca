#!/bin/sh
# Stops Twill and removes it, with all that it made on this host. Run it as root. The settings in /etc/twill stay;
# with --purge they go as well.
set -eu
list=/usr/lib/twill/installed

fail() {
  echo "uninstall.sh: $*" >&2
  exit 1
}

case "${1-}" in
  '' | --purge) ;;
  *) fail "unknown argument $1; allowed is --purge" ;;
esac
[ "$(id -u)" = 0 ] || fail 'must be run as root'
[ -e "$list" ] || fail "$list is missing: install.sh has not installed Twill here"

sh /usr/lib/twill/preremove.sh remove
paths=$(sort -r "$list")
for path in $paths; do
  case "$path" in
    */) ;;
    /etc/twill/*) [ "${1-}" != --purge ] || rm -f "$path" ;;
    *) rm -f "$path" ;;
  esac
done
sh /usr/lib/twill/postremove.sh
for file in installed uninstall.sh preremove.sh postremove.sh; do rm -f "/usr/lib/twill/$file"; done
# The deepest folders come first. One that holds files of others stays.
for path in $paths; do
  case "$path" in
    */) [ ! -d "$path" ] || rmdir --ignore-fail-on-non-empty "$path" ;;
  esac
done
# An installation over kept settings has not made their folder.
if [ "${1-}" = --purge ] && [ -d /etc/twill ]; then rmdir --ignore-fail-on-non-empty /etc/twill; fi
echo 'uninstalled Twill'
