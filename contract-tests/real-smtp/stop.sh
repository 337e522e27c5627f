#!/bin/bash
# Ends the server that start.sh started in DIRECTORY, and removes DIRECTORY.
#
#   stop.sh DIRECTORY
set -u
directory=${1:?usage: stop.sh DIRECTORY}
[[ -e $directory ]] || exit 0
directory=$(cd "$directory" && pwd)
[[ -f $directory/.portside-real-smtp ]] || { echo "stop.sh: $directory was not made by start.sh" >&2; exit 1; }

# Every process that runs this very copy of the program is ours: the server, and who serves a connection or a mail.
ours() {
  local process
  for process in /proc/[0-9]*; do
    [[ $(readlink "$process/exe" 2>/dev/null) != "$directory/exim"* ]] || echo "${process#/proc/}"
  done
}

for _ in $(seq 100); do
  mapfile -t pids < <(ours)
  ((${#pids[@]} > 0)) || break
  # The mails are thrown away, so there is nothing to shut down in order.
  kill -KILL "${pids[@]}" 2>/dev/null
  sleep 0.05
done
mapfile -t pids < <(ours)
((${#pids[@]} == 0)) || { echo "stop.sh: still running: ${pids[*]}" >&2; exit 1; }
rm -rf -- "$directory"
