#!/bin/bash
# Finds a Docker-compatible engine, or brings one: installs Debian's docker.io where there is no dockerd, and starts one
# with a folder of its own. Needs root for that, and nothing where an engine answers already.
#
#   start.sh DIRECTORY
#
# DIRECTORY holds the data of the engine that was started, and stop.sh ends and removes it; where an engine answered,
# it stays empty. Prints the engine's address, for DOCKER_HOST. Ends with status 3 and the reason where there is none.
set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
directory=${1:?usage: start.sh DIRECTORY}

none() { echo "not run: no container engine: $*" >&2; exit 3; }
answers() { curl -s -o "${2:-/dev/null}" --max-time 10 --noproxy '*' --unix-socket "$1" http://engine/_ping; }

if [[ ${DOCKER_HOST:-} ]]; then echo "$DOCKER_HOST"; exit; fi
for socket in /var/run/docker.sock "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"/{docker.sock,podman/podman.sock} ~/.docker/{run,desktop}/docker.sock; do
  if [[ -S $socket ]] && answers "$socket"; then echo "unix://$socket"; exit; fi
done

[[ $(id -u) = 0 ]] || none 'none answers, and only root can start one'
[[ $(uname -s) = Linux ]] || none 'none answers, and dockerd is started on Linux only'
if ! command -v dockerd >/dev/null; then
  command -v apt-get >/dev/null || none 'there is no dockerd, and no apt-get to install docker.io with'
  # policy-rc.d: the package must not start a daemon of its own, on the socket that everyone uses.
  policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; fi
  code=0
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker.io; } >&2 || code=$?
  [[ ! $made ]] || rm -f $policy
  ((code == 0)) || none 'apt-get could not install docker.io'
fi

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
touch "$directory/.portside-docker"
started=
trap '[[ $started ]] || "$(dirname "$0")/stop.sh" "$directory" >&2' EXIT
# Its own folders and its own socket: nothing of an engine that the system may have is touched.
setsid dockerd --host "unix://$directory/docker.sock" --data-root "$directory/data" --exec-root "$directory/exec" \
  --pidfile "$directory/dockerd.pid" --group "$(id -gn)" </dev/null >"$directory/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 300); do
  ! answers "$directory/docker.sock" || { started=1; break; }
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.1
done
if [[ ! $started ]]; then
  tail -n 5 "$directory/dockerd.log" >&2
  none 'dockerd did not come up'
fi
echo "unix://$directory/docker.sock"
