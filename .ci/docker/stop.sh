#!/bin/bash
# Ends the engine that start.sh started in DIRECTORY with all its containers, and removes DIRECTORY. An engine that
# start.sh found is left alone.
#
#   stop.sh DIRECTORY
set -u
PATH=$PATH:/usr/sbin:/sbin
directory=${1:?usage: stop.sh DIRECTORY}
[[ -e $directory ]] || exit 0
directory=$(cd "$directory" && pwd)
if [[ ! -f $directory/.portside-docker ]]; then rmdir "$directory" 2>/dev/null; exit 0; fi

# A process id may belong to someone else by now: ours are the engine's programs that name our folder, and, where
# dockerd was killed, what outlives it: what runs in our containers, which cgroups are named after.
ours() {
  local file
  grep -alF -- "$directory/" /proc/[0-9]*/cmdline 2>/dev/null | while read -r file; do
    grep -qE '^(dockerd|containerd)' "${file%cmdline}comm" 2>/dev/null && echo "$file"
  done | cut -d/ -f3
  [[ ! $containers ]] || grep -lF -- "$containers" /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3
}
containers=$(ls "$directory/data/containers" 2>/dev/null)
daemon=$(cat "$directory/dockerd.pid" 2>/dev/null)
is_daemon() { ours | grep -qxF -- "$daemon"; }
if [[ $daemon ]] && is_daemon; then
  # In good order: it stops its containers first.
  kill -TERM "$daemon"
  for _ in $(seq 300); do is_daemon || break; sleep 0.1; done
fi
for _ in $(seq 50); do
  left=$(ours)
  [[ $left ]] || break
  # shellcheck disable=SC2086
  kill -KILL $left 2>/dev/null
  sleep 0.1
done
# What it mounted goes first, deepest first: a folder with something mounted on it cannot be removed.
grep -F " $directory/" /proc/self/mounts | cut -d' ' -f2 | sort -r | while read -r mounted; do umount -l "$mounted"; done
# The bridge it was given, and those that it made for networks that no one removed.
{ cat "$directory/bridge"; grep -aoE 'br-[0-9a-f]{12}' "$directory/data/network/files/local-kv.db"; } 2>/dev/null | sort -u |
  while read -r bridge; do [[ ! -d /sys/class/net/$bridge ]] || ip link delete "$bridge"; done
rm -rf --one-file-system -- "$directory"
