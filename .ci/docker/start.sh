#!/bin/bash
# Finds a Docker-compatible engine, or brings one: installs Debian's docker.io where there is no dockerd, and starts one
# with a folder and a bridge of its own. Needs root for that, and nothing where an engine answers already.
#
#   start.sh DIRECTORY
#
# DIRECTORY holds the data of the engine that was started, and stop.sh ends and removes it; where an engine answered,
# it stays empty. Prints the engine's address, for DOCKER_HOST. Ends with status 3 and the reason where there is none.
set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
directory=${1:?usage: start.sh DIRECTORY}
here=$(cd "$(dirname "$0")" && pwd)

none() { echo "not run: no container engine: $*" >&2; exit 3; }
# By the locked Node: a bare machine has no curl.
answers() {
  "$here/../../node_modules/.bin/node" --eval '
    const request = require("node:http").get({ socketPath: process.argv[1], path: "/_ping", timeout: 10_000 })
    request.on("response", ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))
    for (const event of ["error", "timeout"]) request.on(event, () => process.exit(1))' "$1"
}

if [[ ${DOCKER_HOST:-} ]]; then echo "$DOCKER_HOST"; exit; fi
for socket in /var/run/docker.sock "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"/{docker.sock,podman/podman.sock} ~/.docker/{run,desktop}/docker.sock; do
  if [[ -S $socket ]] && answers "$socket"; then echo "unix://$socket"; exit; fi
done

[[ $(id -u) = 0 ]] || none 'none answers, and only root can start one'
[[ $(uname -s) = Linux ]] || none 'none answers, and dockerd is started on Linux only'
missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
command -v ip >/dev/null || missing+=(iproute2)
# A package of its own in later releases.
command -v docker >/dev/null || ! apt-cache show docker-cli >/dev/null 2>&1 || missing+=(docker-cli)
[[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) != Y ]] || command -v apparmor_parser >/dev/null || missing+=(apparmor)
if ((${#missing[@]} > 0)); then
  command -v apt-get >/dev/null || none "there is no dockerd, and no apt-get to install ${missing[*]} with"
  # policy-rc.d: the package must not start a daemon of its own, on the socket that everyone uses.
  policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then printf '#!/bin/sh\nexit 101\n' >$policy; chmod 755 $policy; made=1; fi
  code=0
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >&2 || code=$?
  [[ ! $made ]] || rm -f $policy
  ((code == 0)) || none "apt-get could not install ${missing[*]}"
fi

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
touch "$directory/.portside-docker"
started=
trap '[[ $started ]] || "$here/stop.sh" "$directory" >&2' EXIT

# A bridge of its own, in a network that nobody here uses: another engine gives its containers the same addresses.
bridge=portside$$
is_used() { # NETWORK
  [[ $(ip -4 route list root "$1"; ip -4 route list match "$1" | grep -v ^default) ]]
}
for offset in {0..253} none; do
  [[ $offset != none ]] || none 'every network from 172.31.1.0 to 172.31.254.0 is in use'
  network=172.31.$((1 + ($$ + offset) % 254))
  is_used "$network.0/24" || break
done
echo "$bridge" >"$directory/bridge"
said=$({ ip link add "$bridge" type bridge && ip addr add "$network.1/24" dev "$bridge"; } 2>&1) ||
  none "no bridge can be made for it: $said"

# Its own folders and its own socket, and not a rule of the machine's firewall: nothing of the system or of an engine
# that it may have is touched. Who asks a port on loopback is passed on by a process, and a container reaches no network.
setsid dockerd --host "unix://$directory/docker.sock" --data-root "$directory/data" --exec-root "$directory/exec" \
  --pidfile "$directory/dockerd.pid" --group "$(id -gn)" --bridge "$bridge" \
  --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false </dev/null >"$directory/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do
  ! answers "$directory/docker.sock" || { started=1; break; }
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.1
done
if [[ ! $started ]]; then
  tail -n 5 "$directory/dockerd.log" >&2
  none "dockerd did not come up: $(sed -n 's/^failed to start daemon: //p' "$directory/dockerd.log" | tail -n 1)"
fi
echo "unix://$directory/docker.sock"
