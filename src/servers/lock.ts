/** A lock between processes, as a file. The lock of a process that died is void. */
import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { systemClock } from '../calls/clock.ts'
import { throwIfFull } from './folder.ts'
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
  /** Called once when the wait has taken half a second. */
  readonly onWait?: ((holder: ProcessId) => void) | undefined
}

/** Takes the lock at `path`; answers its holder where that outlasts the wait. */
export async function takeLock(path: string, options: LockOptions): Promise<Lock | Holder> {
  const start = Date.now()
  const end = start + options.waitMs
  let told = false
  for (;;) {
    options.signal?.throwIfAborted()
    const found = tryLock(path)
    if (found === 'taken') return { release: releaseOnce(path) }
    if (found === 'stale') continue
    if (Date.now() >= end) return { holder: found }
    if (!told && Date.now() - start >= 500) {
      told = true
      options.onWait?.(found)
    }
    await systemClock.sleep(20, options.signal)
  }
}

/** The process in the way; `taken` where it was taken; `stale` where a dead process's lock was cleared away. */
function tryLock(path: string): ProcessId | 'taken' | 'stale' {
  const me = identifyProcess(process.pid)
  if (me === undefined) throw new Error('this process is not to be found among the running ones')
  if (create(path, me)) return 'taken'
  const holder = readHolder(path)
  if (holder !== undefined && isRunning(holder)) return holder
  // Only one of those who find a stale lock may take it away: the slower would take away the faster one's new lock.
  const takeover = `${path}.takeover`
  if (!create(takeover, me)) {
    removeIfLeft(takeover)
    return me
  }
  try {
    const now = readHolder(path)
    if (now === undefined || !isRunning(now)) rmSync(path, { force: true })
  } finally {
    rmSync(takeover, { force: true })
  }
  return 'stale'
}

/** Made whole elsewhere and linked into place, so that no one reads half of it. */
function create(path: string, content: ProcessId): boolean {
  const whole = `${path}.${randomUUID()}`
  try {
    writeFileSync(whole, JSON.stringify(content), { flag: 'wx', mode: 0o644 })
    linkSync(whole, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throwIfFull(path, error)
    throw error
  } finally {
    rmSync(whole, { force: true })
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

/** Of a process that died in the middle of clearing up. One that only sleeps, with the machine say, goes on where it was. */
function removeIfLeft(takeover: string): void {
  const by = readHolder(takeover)
  if (by !== undefined && isRunning(by)) return
  const stat = statSync(takeover, { throwIfNoEntry: false })
  if (stat !== undefined && Date.now() - stat.mtimeMs > 5_000) rmSync(takeover, { force: true })
}

function releaseOnce(path: string): () => void {
  let released = false
  return () => {
    if (released) return
    released = true
    rmSync(path, { force: true })
  }
}
