#!/bin/bash
# Ends the engine that start.sh started in DIRECTORY with all its containers, and removes DIRECTORY. An engine that
# start.sh found is left alone.
#
#   stop.sh DIRECTORY
set -u
directory=${1:?usage: stop.sh DIRECTORY}
[[ -e $directory ]] || exit 0
directory=$(cd "$directory" && pwd)
if [[ ! -f $directory/.portside-docker ]]; then rmdir "$directory" 2>/dev/null; exit 0; fi

# A process id may belong to someone else by now: only what names our folder is ours. The last to go are the shims,
# which outlive dockerd where it was killed.
ours() {
  local each
  for each in /proc/[0-9]*; do
    tr '\0' ' ' <"$each/cmdline" 2>/dev/null | grep -qF -- "$directory/" || continue
    [[ ${each#/proc/} = "$$" || ${each#/proc/} = "$BASHPID" ]] || echo "${each#/proc/}"
  done
}
daemon=$(cat "$directory/dockerd.pid" 2>/dev/null)
if [[ $daemon ]] && tr '\0' ' ' 2>/dev/null <"/proc/$daemon/cmdline" | grep -qF -- "$directory/"; then
  kill -TERM "$daemon"
  for _ in $(seq 300); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
fi
for _ in $(seq 50); do
  left=$(ours | grep -vx "$PPID")
  [[ $left ]] || break
  # shellcheck disable=SC2086
  kill -KILL $left 2>/dev/null
  sleep 0.1
done
# What it mounted goes first, deepest first: a folder with something mounted on it cannot be removed.
grep -F " $directory/" /proc/self/mounts | cut -d' ' -f2 | sort -r | while read -r mounted; do umount -l "$mounted"; done
rm -rf --one-file-system -- "$directory"
