/** A lock between processes, as a file. The lock of a process that died is void. */
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { systemClock } from '../calls/clock.ts'
import { identifyProcess, isRunning, type ProcessId } from './processes.ts'

export interface Lock {
  /** Frees it. Twice does nothing. */
  release(): void
}

/** What {@link takeLock} found in the way. */
export interface Holder {
  readonly holder: ProcessId
}

export interface LockOptions {
  /** How long to wait for the process that holds it, in milliseconds. */
  readonly waitMs: number
  readonly signal?: AbortSignal | undefined
  /** Called once when there is something to wait for. */
  readonly onWait?: ((holder: ProcessId) => void) | undefined
}

// Paths held by this very process: its own live process id in a file says nothing about a forgotten lock.
const held = new Set<string>()

/** Takes the lock at `path`; answers its holder where that outlasts the wait. */
export async function takeLock(path: string, options: LockOptions): Promise<Lock | Holder> {
  const end = Date.now() + options.waitMs
  for (let first = true; ; first = false) {
    options.signal?.throwIfAborted()
    const holder = tryLock(path)
    if (holder === undefined) return { release: releaseOnce(path) }
    if (Date.now() >= end) return { holder }
    if (first) options.onWait?.(holder)
    await systemClock.sleep(50, options.signal)
  }
}

/** `undefined` where it was taken. */
function tryLock(path: string): ProcessId | undefined {
  const me = identifyProcess(process.pid)
  if (me === undefined) throw new Error('this process is not to be found among the running ones')
  if (create(path, me)) {
    held.add(path)
    return undefined
  }
  const holder = readHolder(path)
  const live = holder !== undefined && isRunning(holder) && (holder.pid !== process.pid || held.has(path))
  if (live) return holder
  // Only one of those who find a stale lock may take it away: the slower would take away the faster one's new lock.
  const takeover = `${path}.takeover`
  if (create(takeover, me)) {
    try {
      const now = readHolder(path)
      if (now === undefined || now.startedAt === holder?.startedAt) rmSync(path, { force: true })
    } finally {
      rmSync(takeover, { force: true })
    }
  } else {
    removeOlderThan(takeover, 5_000)
  }
  return holder ?? me
}

/** Made whole elsewhere and linked into place, so that no one reads half of it. */
function create(path: string, content: ProcessId): boolean {
  const whole = `${path}.${randomUUID()}`
  writeFileSync(whole, JSON.stringify(content), { flag: 'wx', mode: 0o644 })
  try {
    linkSync(whole, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(whole)
  }
}

function readHolder(path: string): ProcessId | undefined {
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(path, 'utf8')) as Partial<ProcessId>
    return typeof pid === 'number' && typeof startedAt === 'string' ? { pid, startedAt } : undefined
  } catch {
    // Gone in the meantime, or not written by us: no one holds it.
    return undefined
  }
}

function removeOlderThan(path: string, ageMs: number): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat !== undefined && Date.now() - stat.mtimeMs > ageMs) rmSync(path, { force: true })
}

function releaseOnce(path: string): () => void {
  let released = false
  return () => {
    if (released) return
    released = true
    held.delete(path)
    rmSync(path, { force: true })
  }
}
