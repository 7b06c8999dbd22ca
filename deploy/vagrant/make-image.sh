#!/bin/sh
# Makes the image of the demo's container from the busybox of this VM, once. So it needs no registry.
set -eu
! docker image inspect twill-demo >/dev/null 2>&1 || exit 0
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/bin" "$tree/www"
cp "$(command -v busybox)" "$tree/bin/busybox"
for name in sh httpd hostname ping sed wget; do ln -s busybox "$tree/bin/$name"; done
tar -C "$tree" -c . | docker import --change 'CMD ["httpd", "-f", "-p", "0.0.0.0:80", "-h", "/www"]' - twill-demo >/dev/null
