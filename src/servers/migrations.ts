/** The migrations that a server's data was made with: one that was changed after it ran makes that data another's. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BoundedService } from '../services/declare.ts'
import { recallIn, ServerFolder } from './folder.ts'
import { refusal } from './origin.ts'

interface Migrated {
  readonly name: string
  readonly service: BoundedService<object>
}

/** Service to file to what tells its content from another. */
type Remembered = Readonly<Record<string, Readonly<Record<string, string>>>>

/**
 * @param folderOf the folder of a service's server
 * @throws PortError `precondition-failed` where a migration that has run was changed or is gone. New ones are no matter.
 */
export async function refuseChangedMigrations(
  migrated: readonly Migrated[],
  folderOf: (name: string) => string,
): Promise<void> {
  for (const { name, service } of migrated) {
    const folder = new ServerFolder(folderOf(name))
    const before = folder.hasData ? folder.recall<Remembered>('migrations')?.[name] : undefined
    if (before === undefined || service.migrations === undefined) continue
    const now = await printsOf(service.migrations)
    const changes = Object.entries(before).flatMap(([file, print]) => {
      if (now[file] === print) return []
      return [
        `the migrations: ${file} ${now[file] === undefined ? 'is gone' : 'was changed'} after it had run`,
      ]
    })
    if (changes.length > 0) throw refusal(`service "${name}"`, folder.path, changes)
  }
}

/** Remembers the migrations that have just been brought up to date. */
export async function rememberMigrations(
  path: string,
  name: string,
  { migrations }: BoundedService<object>,
): Promise<void> {
  if (migrations === undefined) return
  const folder = new ServerFolder(path)
  const before = folder.recall<Remembered>('migrations') ?? {}
  const now = { ...before, [name]: await printsOf(migrations) }
  if (JSON.stringify(now) !== JSON.stringify(before)) folder.remember('migrations', now)
}

/** Whether the migrations are those that were brought up to date last, each as it was. */
export async function areMigrated(
  path: string,
  name: string,
  { migrations }: BoundedService<object>,
): Promise<boolean> {
  if (migrations === undefined) return true
  const before = recallIn<Remembered>(path, 'migrations')?.[name]
  return before !== undefined && JSON.stringify(before) === JSON.stringify(await printsOf(migrations))
}

async function printsOf(directory: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(directory, { withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
  const prints = await Promise.all(
    files.sort().map(async (file) => {
      const content = await readFile(join(directory, file))
      return [file, createHash('sha256').update(content).digest('hex').slice(0, 16)] as const
    }),
  )
  return Object.fromEntries(prints)
}
