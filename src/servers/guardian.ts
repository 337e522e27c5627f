/**
 * Ends a server when the process that started it ends, however that ends: SIGKILL gives it no chance to do it
 * itself. A small shell waits at the other end of a pipe, which the system closes with its owner; it is in a
 * session of its own, so that Ctrl-C in a terminal does not reach it.
 */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Guardian {
  /** Ends the guardian; the server is on its own from here on. */
  dismiss(): void
}

const script = `
trap '' HUP INT TERM
cat
kill -"$1" "$2" 2>/dev/null || exit 0
tries=0
while kill -0 "$2" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$2" 2>/dev/null
exit 0
`

/** @param signal the one that makes the server stop in good order */
export function guardian(pid: number, signal: NodeJS.Signals): Guardian {
  const child: ChildProcess = spawn(
    '/bin/sh',
    ['-c', script, 'portside-guardian', signal.replace('SIG', ''), String(pid)],
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' },
  )
  // A guardian that could not be started is no reason to fail: the next start finds what was left.
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  // Neither the process nor the pipe to it may keep its owner running.
  child.unref()
  const pipe = child.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null
  pipe?.unref?.()
  return { dismiss: () => void child.kill('SIGKILL') }
}
