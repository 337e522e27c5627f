#!/bin/bash
# The entry point of the image redis, with the interface of the official one: a first argument that is an option or a
# configuration file is for redis-server, which runs as the user redis.
set -euo pipefail
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
if [[ $1 = redis-server && $(id -u) = 0 ]]; then
  chown -R redis:redis .
  exec gosu redis "$0" "$@"
fi
# Without a password it would let in loopback alone, which in a container is nobody: like the official image, this one
# leaves that to the ports that are published. What the caller says about it comes after, and wins.
if [[ $1 = redis-server ]]; then
  case ${2:-} in
    --version | --help | --test-memory | --check-system) ;;
    '' | --*) set -- redis-server --protected-mode no "${@:2}" ;;
  esac
fi
exec "$@"
