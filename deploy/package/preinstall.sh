#!/bin/sh
# Before the installation of a package. uninstall.sh of the tarball would later remove the files of the package.
set -e
[ ! -e /usr/lib/twill/installed ] || {
  echo 'twill: install.sh has installed Twill here: run /usr/lib/twill/uninstall.sh first' >&2
  exit 1
}
