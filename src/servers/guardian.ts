/**
 * Ends a server, or removes a folder, when the process that made it ends, however that ends: SIGKILL gives it no chance to do it
 * itself. A small shell waits at the other end of a pipe, which the system closes with its owner; it is in a
 * session of its own, so that Ctrl-C in a terminal does not reach it.
 */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Guardian {
  /** Ends the guardian; what it guarded is on its own from here on. */
  dismiss(): void
}

export interface ProcessGuardian extends Guardian {
  /** From here on the process `pid` ends with this one. Once. */
  guard(pid: number): void
}

// The owner's PATH may be anything; what is needed is the system's.
const prelude = "trap '' HUP INT TERM; PATH=/usr/bin:/bin:$PATH"

const endServer = `
kill -"$1" "$2" 2>/dev/null || exit 0
tries=0
while kill -0 "$2" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$2" 2>/dev/null
exit 0
`

// Until the owner's end. By the shell itself: a program that could not be run would look like that end.
const wait = 'while read -r _; do :; done'

// Its owner says whom to guard; without a word there is no one.
const guardProcess = `
read -r pid || exit 0
${wait}
set -- "$1" "$pid"
${endServer}`

// A server that was meant to stay, and whose folder someone removed: no one could find it any more to stop it.
const endWithoutFolder = `
while kill -0 "$2" 2>/dev/null; do [ -e "$3" ] || break; sleep 2; done
kill -0 "$2" 2>/dev/null || exit 0
${endServer}`

// Servers in it may still be ending and write to it meanwhile: tried until nothing is left.
const removeFolder = `
tries=0
while [ -e "$1" ] && [ "$tries" -lt 40 ]; do rm -rf "$1" 2>/dev/null; sleep 0.5; tries=$((tries + 1)); done
exit 0
`

/**
 * A guardian that waits to be told whom to guard: made before the process is, so that nothing is unguarded while a shell starts.
 * @param signal the one that makes the process stop in good order
 */
export function processGuardian(signal: NodeJS.Signals): ProcessGuardian {
  const { pipe, dismiss } = guardian(guardProcess, signal.replace('SIG', ''))
  return { guard: (pid) => void pipe?.write(`${pid}\n`), dismiss }
}

/** Ends the server `pid`, which outlives this process, when the file at `path` is removed. */
export function guardByFile(pid: number, signal: NodeJS.Signals, path: string): void {
  const child = spawn(
    '/bin/sh',
    ['-c', `${prelude}; ${endWithoutFolder}`, 'portside-watch', signal.replace('SIG', ''), String(pid), path],
    { stdio: 'ignore', detached: true, cwd: '/' },
  )
  child.on('error', () => {})
  child.unref()
}

/** Removes a temporary folder with this process. */
export function guardFolder(path: string): Guardian {
  return guardian(`${wait}; ${removeFolder}`, path)
}

/** @param script reads its input to the end, which is the owner's */
function guardian(script: string, ...args: readonly string[]): WaitingGuardian {
  return waitingProgram('/bin/sh', ['-c', `${prelude}; ${script}`, 'portside-guardian', ...args])
}

interface WaitingGuardian extends Guardian {
  /** What the program reads, until its owner ends. */
  readonly pipe: NodeJS.WritableStream | null
}

/** Starts a program at the other end of a pipe, in a session of its own. It must ignore signals from a terminal. */
export function waitingProgram(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): WaitingGuardian {
  const child: ChildProcess = spawn(file, args, {
    ...{ stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/', env },
  })
  // A guardian that could not be started is no reason to fail: the next start finds what was left.
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  // Neither the process nor the pipe to it may keep its owner running.
  child.unref()
  const pipe = child.stdin as (NodeJS.WritableStream & { unref?: () => void }) | null
  pipe?.unref?.()
  return {
    pipe,
    dismiss() {
      child.kill('SIGKILL')
      child.stdin?.destroy()
    },
  }
}
