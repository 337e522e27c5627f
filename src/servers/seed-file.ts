/**
 * The file in which an app says what its synthetic data is like. What is in it, and in the files that it names, tells one
 * such data from another.
 */
import { createHash, type Hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { invalidArgument } from '../errors.ts'

export interface SeedFile {
  /** Its default export. */
  readonly definition: object
  /** Of its content, and of every file that it or those name by a path that begins with a dot. */
  readonly digest: string
}

/** @throws PortError `invalid-argument` where there is no such file, or it has no default export */
export async function readSeedFile(file: string): Promise<SeedFile> {
  const path = resolve(file)
  const hash = createHash('sha256')
  if (!(await addFile(path, hash, new Set()))) {
    throw invalidArgument(`there is no file ${path}; a seed is the module that exports defineSeed({ … })`)
  }
  const digest = hash.digest('hex')
  // Node loads a module once for each URL: what has changed since is another one.
  const { default: definition } = (await import(`${pathToFileURL(path).href}?${digest.slice(0, 16)}`)) as {
    default?: unknown
  }
  if (typeof definition !== 'object' || definition === null) {
    throw invalidArgument(`${path} has no default export; write: export default defineSeed({ … })`)
  }
  return { definition, digest }
}

/** A path in quotes: of an import, of a `new URL`, of what is read. One too many is no matter. */
const relative = /(['"`])(\.{1,2}\/[^'"`\r\n]+)\1/g

/** Adds a file and those that it names, each once; answers whether it is there. */
async function addFile(path: string, hash: Hash, seen: Set<string>): Promise<boolean> {
  if (seen.has(path)) return true
  const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (['ENOENT', 'EISDIR', 'ENOTDIR'].includes(error.code ?? '')) return undefined
    throw error
  })
  if (content === undefined) return false
  seen.add(path)
  hash.update(`${content.length}\n`).update(content)
  if (!/\.[cm]?[jt]sx?$/.test(path)) return true
  for (const [, , name = ''] of content.toString().matchAll(relative)) {
    await addFile(resolve(dirname(path), name.replace(/[?#].*$/, '')), hash, seen)
  }
  return true
}
