/** Which project a command is about: where its declaration and its servers are. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { UsageError } from './command.ts'

const usualPlaces = ['services.ts', 'services.js', 'src/services.ts', 'src/services.js']
const serversFolder = '.portside'

/**
 * The folder of the project: the working directory or the nearest one above it that holds a declaration or servers; the
 * working directory where none does. Not above a repository, and not where others may write: their module would be run.
 */
function projectFolder(): string {
  const from = process.cwd()
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, serversFolder)) || declares(folder)) return folder
    if (existsSync(join(folder, '.git')) || !isOurs(dirname(folder), from)) return from
  }
}

/**
 * Where the servers of the project are: what `--directory` says, else its own folder, as seen from here.
 * @throws UsageError where that says something else than a folder
 */
export function serversDirectory(given: string | undefined): string {
  if (given === undefined) return relative(process.cwd(), join(projectFolder(), serversFolder))
  if (given.trim() === '') throw new UsageError('--directory needs the path of a folder')
  if (statSync(given, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new UsageError(`--directory ${given} is no folder`)
  }
  return given
}

/**
 * The path of the project's declaration.
 * @throws UsageError where there is none
 */
export function projectDeclaration(): string {
  const found = declarationIn(projectFolder())
  if (found !== undefined) return found
  throw new UsageError(
    `there is no declaration of services here (looked for ${usualPlaces.join(', ')}); name it with --services FILE, or in package.json: "portside": { "services": FILE }`,
  )
}

function declares(folder: string): boolean {
  try {
    return declarationIn(folder) !== undefined
  } catch {
    // It is this project's, broken or not. Whoever needs the declaration is told.
    return true
  }
}

function declarationIn(folder: string): string | undefined {
  const place =
    named(join(folder, 'package.json')) ?? usualPlaces.find((each) => existsSync(join(folder, each)))
  return place === undefined ? undefined : resolve(folder, place)
}

function named(file: string): string | undefined {
  if (!existsSync(file)) return undefined
  try {
    const { portside } = JSON.parse(readFileSync(file, 'utf8')) as {
      portside?: { services?: unknown }
    }
    return typeof portside?.services === 'string' ? portside.services : undefined
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

/** Whether the folder belongs to this user, or to whom the working directory does, and is not open to everyone. */
function isOurs(folder: string, from: string): boolean {
  const found = statSync(folder, { throwIfNoEntry: false })
  if (found === undefined || dirname(folder) === folder) return false
  if (process.geteuid === undefined) return true
  return (found.mode & 0o002) === 0 && [process.geteuid(), statSync(from).uid].includes(found.uid)
}
