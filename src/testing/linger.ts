/**
 * Stops a server that outlives its users, a while after the last of them has ended, however that was. Each user has a small
 * shell at the other end of a pipe, which the system closes with the user; the last one's waits, and gives way to whoever comes.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { systemClock } from '../calls/clock.ts'

/** How long a server takes to stop at most; whoever says for longer that it is stopping is gone. */
const stoppingMs = 40_000

/**
 * A user says that it is there before it looks whether the server is being stopped; this one says that it stops the server
 * before it looks whether users are there. So never do both go on.
 */
const lingerScript = `
trap '' HUP INT TERM
users=$1 own=$2 seconds=$3 pid=$4 server=$5
anyone() {
  for file in "$users"/*.user; do
    [ -e "$file" ] || continue
    name=\${file##*/}
    kill -0 "\${name%%.*}" 2>/dev/null && return 0
    rm -f "$file"
  done
  return 1
}
cat >/dev/null
rm -f "$own"
anyone && exit 0
echo $$ >"$users/last" || exit 0
waited=0
while [ "$waited" -lt "$seconds" ]; do
  sleep 1
  waited=$((waited + 1))
  [ "$(cat "$users/last" 2>/dev/null)" = $$ ] || exit 0
  anyone && exit 0
done
: >"$users/stopping" || exit 0
if ! anyone && [ -e "$server" ]; then
  rm -f "$server"
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 150 ]; do sleep 0.2; tries=$((tries + 1)); done
fi
rm -f "$users/stopping"
`

export interface ServerUse {
  /** Stops the server whose file that is `lingerMs` after this process has ended, unless others use it then. */
  of(server: { readonly pid: number; readonly file: string }, lingerMs: number): ServerWatch
  /** Nothing is used after all. */
  cancel(): void
}

export interface ServerWatch {
  /** This process uses it no more. */
  end(): void
}

/** Says that this process is about to use the server in `folder`, after waiting for one that is being stopped. */
export async function useServer(folder: string): Promise<ServerUse> {
  // Whole paths: the shell works from the root folder.
  const users = resolve(folder, 'users')
  mkdirSync(users, { recursive: true })
  const own = join(users, `${process.pid}.${randomUUID()}.user`)
  writeFileSync(own, '')
  const stopping = join(users, 'stopping')
  while (existsSync(stopping)) {
    const since = statSync(stopping, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    if (Date.now() - since > stoppingMs) rmSync(stopping, { force: true })
    await systemClock.sleep(50)
  }
  return {
    cancel: () => rmSync(own, { force: true }),
    of({ pid, file }, lingerMs) {
      const seconds = String(Math.ceil(lingerMs / 1_000))
      const child: ChildProcess = spawn(
        '/bin/sh',
        ['-c', lingerScript, 'portside-linger', users, own, seconds, String(pid), resolve(file)],
        { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' },
      )
      // Without it the server stays until someone stops it.
      child.on('error', () => {})
      child.stdin?.on('error', () => {})
      // Neither the process nor the pipe to it may keep its owner running.
      child.unref()
      const pipe = child.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null
      pipe?.unref?.()
      return { end: () => void pipe?.end() }
    },
  }
}
