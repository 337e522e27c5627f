#!/bin/bash
# The entry point of the images redis and valkey/valkey, with the interface of the official ones: a first argument that is
# an option or a configuration file is for the server, which runs as an account of its own.
set -euo pipefail
server=redis-server
! command -v valkey-server >/dev/null || server=valkey-server
account=${server%-server}
case ${1:-} in -* | *.conf) set -- "$server" "$@" ;; esac
if [[ $1 = "$server" && $(id -u) = 0 ]]; then
  chown -R "$account:$account" .
  exec gosu "$account" "$0" "$@"
fi
# Without a password it would let in loopback alone, which in a container is nobody: like the official images, these
# leave that to the ports that are published. What the caller says about it comes after, and wins.
if [[ $1 = "$server" ]]; then
  case ${2:-} in
    --version | --help | --test-memory | --check-system) ;;
    '' | --*) set -- "$server" --protected-mode no "${@:2}" ;;
  esac
fi
exec "$@"
