/** Other processes, named so that a reused process id is never taken for the old one. */
import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { systemClock } from '../calls/clock.ts'

/** One process of this machine: its id alone would soon belong to another. */
export interface ProcessId {
  readonly pid: number
  /** When it started, in the system's own form; compared, never read. */
  readonly startedAt: string
}

/** Names the process `pid`; `undefined` where there is none, or only its exit status is left. */
export function identifyProcess(pid: number): ProcessId | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  const startedAt = process.platform === 'linux' ? linuxStart(pid) : psStart(pid)
  return startedAt === undefined ? undefined : { pid, startedAt }
}

/** Whether that very process still runs. */
export function isRunning({ pid, startedAt }: ProcessId): boolean {
  return identifyProcess(pid)?.startedAt === startedAt
}

/** Sends a signal; does nothing where the process is gone. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): void {
  if (!isRunning(id)) return
  try {
    process.kill(id.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Waits until the process is gone; answers whether it went within `timeoutMs`. */
export async function waitUntilGone(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs
  while (isRunning(id)) {
    if (Date.now() >= end) return false
    await systemClock.sleep(20)
  }
  return true
}

/** SIGKILL to a process and to the children it has now; resolves when all are gone. */
export async function killTree(id: ProcessId): Promise<void> {
  const all = [id, ...childrenOf(id.pid)]
  for (const each of all) signalProcess(each, 'SIGKILL')
  for (const each of all) await waitUntilGone(each, 10_000)
}

function childrenOf(parent: number): ProcessId[] {
  const pairs = process.platform === 'linux' ? linuxParents() : psParents()
  return pairs
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => identifyProcess(pid))
    .filter((id) => id !== undefined)
}

/** The fields of /proc/<pid>/stat from the third on; the second may hold spaces and parentheses itself. */
function linuxStat(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    // No such process, or gone while it was read.
    return undefined
  }
}

function linuxStart(pid: number): string | undefined {
  const stat = linuxStat(pid)
  // A zombie has ended; only its parent has not asked for the exit status yet.
  return stat === undefined || stat[0] === 'Z' || stat[0] === 'X' ? undefined : stat[19]
}

function linuxParents(): (readonly [pid: number, ppid: number])[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(linuxStat(Number(name))?.[1])] as const)
}

function psStart(pid: number): string | undefined {
  try {
    const out = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], psOptions).trim()
    const [stat = 'Z', ...start] = out.split(/\s+/)
    return stat.startsWith('Z') ? undefined : start.join(' ')
  } catch {
    // ps exits with 1 where there is no such process.
    return undefined
  }
}

function psParents(): (readonly [pid: number, ppid: number])[] {
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid='], psOptions)
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
}

const psOptions: ExecFileSyncOptionsWithStringEncoding = {
  encoding: 'utf8',
  env: { ...process.env, LC_ALL: 'C' },
  stdio: ['ignore', 'pipe', 'ignore'],
}
