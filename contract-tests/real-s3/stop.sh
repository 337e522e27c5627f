#!/bin/bash
# Ends the server that start.sh started in DIRECTORY, and removes DIRECTORY.
#
#   stop.sh DIRECTORY
#   stop.sh --running DIRECTORY   only says, by its exit code, whether any of it runs
set -u
ask=
if [[ ${1:-} = --running ]]; then ask=1; shift; fi
directory=${1:?usage: stop.sh [--running] DIRECTORY}
[[ -e $directory ]] || exit ${ask:-0}
directory=$(cd "$directory" && pwd)
[[ -f $directory/.portside-real-s3 ]] || { echo "stop.sh: $directory was not made by start.sh" >&2; exit 1; }

# A process id may belong to someone else by now: only a process run with our own configuration is ours.
ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "$directory/ceph.conf"; }

pids=()
for name in rgw osd mon; do
  pid=$(cat "$directory/run/$name.pid" 2>/dev/null) && ours "$pid" && pids+=("$pid")
done
[[ ! $ask ]] || exit $((${#pids[@]} == 0))
# The data is thrown away, so there is nothing to shut down in order.
((${#pids[@]} == 0)) || kill -KILL "${pids[@]}"
for _ in $(seq 100); do
  left=()
  for pid in "${pids[@]}"; do ours "$pid" && left+=("$pid"); done
  ((${#left[@]} > 0)) || break
  sleep 0.05
done
((${#left[@]} == 0)) || { echo "stop.sh: still running: ${left[*]}" >&2; exit 1; }
rm -rf -- "$directory"
