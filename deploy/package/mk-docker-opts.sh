#!/bin/sh
# flannel's script of this name, with its options.
exec /usr/bin/twill docker-opts "$@"
