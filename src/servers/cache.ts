/** Programs that were fetched or copied once, for all projects of a user. */
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { PortError } from '../errors.ts'
import { takeLock } from './lock.ts'

/** `$PORTSIDE_CACHE`, `$XDG_CACHE_HOME/portside` or `~/.cache/portside`. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (env.PORTSIDE_CACHE) return resolve(env.PORTSIDE_CACHE)
  return env.XDG_CACHE_HOME ? join(env.XDG_CACHE_HOME, 'portside') : join(homedir(), '.cache', 'portside')
}

/**
 * The folder `name` in `folder`, made by `build` where it is absent. It appears whole or not at all, and is built
 * once however many processes ask for it at the same time.
 * @param build fills the empty folder it is given
 */
export async function cached(
  folder: string,
  name: string,
  build: (path: string) => Promise<void>,
  options: { readonly signal?: AbortSignal | undefined; readonly onWait?: () => void } = {},
): Promise<string> {
  const path = join(folder, name)
  if (existsSync(path)) return path
  await makeCache(folder)
  const lock = await takeLock(join(folder, `${name}.lock`), { ...options, waitMs: 300_000 })
  if ('holder' in lock) {
    throw new PortError({
      code: 'unavailable',
      outcome: 'not-applied',
      message: `process ${lock.holder.pid} has been filling ${path} for five minutes; end it and try again`,
    })
  }
  const unfinished = join(folder, `${name}.${randomUUID()}.tmp`)
  try {
    if (existsSync(path)) return path
    await removeUnfinished(folder, name)
    await mkdir(unfinished)
    // Servers may run as another account than the one that fills the cache.
    await chmod(unfinished, 0o755)
    await build(unfinished)
    await rename(unfinished, path)
    return path
  } finally {
    await discard(unfinished)
    lock.release()
  }
}

/** What builders left that were killed: whoever calls this holds the lock, so none of it is in use. */
async function removeUnfinished(folder: string, name: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    if (entry.startsWith(`${name}.`) && entry.endsWith('.tmp')) {
      await discard(join(folder, entry))
    }
  }
}

/** Programs that were cut short may be ending only now, and write to it: it is tried for seconds. */
function discard(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

/**
 * Makes a cache folder where it is absent, open to all whatever the user's own default is: servers may run as
 * another account.
 * @throws PortError `permission-denied` where it cannot be made
 */
export async function makeCache(folder: string): Promise<void> {
  try {
    const made = await mkdir(folder, { recursive: true })
    if (made !== undefined) await chmod(folder, 0o755)
  } catch (cause) {
    throw new PortError({
      code: 'permission-denied',
      message: `the cache folder ${folder} cannot be made (${(cause as NodeJS.ErrnoException).code}); set PORTSIDE_CACHE to a folder you may write to`,
      cause,
    })
  }
}
