#!/bin/bash
# The entry point of the image redis, with the interface of the official one: a first argument that is an option or a
# configuration file is for redis-server, which runs as the user redis.
set -euo pipefail
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [[ $1 = redis-server && $(id -u) = 0 ]]; then
  chown -R redis:redis .
  exec gosu redis "$0" "$@"
fi
exec "$@"
