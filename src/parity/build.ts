/**
 * Build information: which commits are running, who wrote them, with which tools they were built. `portside stamp`
 * writes it into a file at build time, because a running release has no repository to ask.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { typeName } from '../calls/arguments.ts'
import { invalidArgument, PortError } from '../errors.ts'

/** Where it is looked for, from the working directory. */
export const buildFile = 'portside-build.json'

/** Names who deployed a release, where the build did not know. */
export const deployerVariable = 'PORTSIDE_DEPLOYER'

export interface Author {
  readonly name: string
  readonly email: string
  /** How many of the commits are theirs, alone or with others. */
  readonly commits: number
}

export interface BuildInfo {
  readonly format: 1
  readonly commit: string
  /** ISO 8601, UTC; as all times here. */
  readonly committedAt: string
  /** Whether files were changed and not committed. */
  readonly dirty: boolean
  /** The commits that are new in this build are those after this one; absent where all were counted. */
  readonly since: string | undefined
  /** How many commits are new. */
  readonly commits: number
  /** Of the commits that are new, most commits first; those of a `Co-authored-by` too. */
  readonly authors: readonly Author[]
  /** Whether the clone was shallow and had not all commits that are new: authors are missing. */
  readonly truncated: boolean
  readonly builtAt: string
  /** Who deploys it, where building and deploying are one. */
  readonly deployer: string | undefined
  readonly tools: Tools
}

/** What a build or a process runs with. */
export interface Tools {
  readonly node: string
  /** The nearest lockfile, in the folder or above it in the repository, and its SHA-256. */
  readonly lockfile: { readonly file: string; readonly sha256: string } | undefined
  /** The installed versions of this package and of the clients that its adapters use. */
  readonly packages: Readonly<Record<string, string>>
}

const lockfiles = ['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock', 'bun.lock']

/** The tools that are there now, seen from `directory`. */
export function toolsHere(directory: string = process.cwd()): Tools {
  const lockfile = lockfileOf(resolve(directory))
  const { name = 'portside', version = 'unknown', peerDependencies = {} } = ownPackage()
  const packages: Record<string, string> = { [name]: version }
  for (const peer of Object.keys(peerDependencies).sort()) {
    const found = installedVersion(peer, directory)
    if (found !== undefined) packages[peer] = found
  }
  return {
    node: process.version,
    lockfile: lockfile && {
      file: lockfile.file,
      sha256: createHash('sha256').update(lockfile.text).digest('hex'),
    },
    packages,
  }
}

/** The nearest one, up to the repository's own folder: the packages of a workspace share one. */
function lockfileOf(directory: string): { readonly file: string; readonly text: Buffer } | undefined {
  for (const file of lockfiles) {
    const text = readIfThere(join(directory, file))
    if (text !== undefined) return { file, text }
  }
  const above = dirname(directory)
  return above === directory || existsSync(join(directory, '.git')) ? undefined : lockfileOf(above)
}

interface PackageJson {
  readonly name?: string
  readonly version?: string
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** This package's own, two folders up from the sources and three from what is built. */
function ownPackage(): PackageJson {
  for (const up of ['../../package.json', '../../../package.json']) {
    const found = packageAt(new URL(up, import.meta.url))
    if (found?.name === 'portside') return found
  }
  return {}
}

/** Found as Node finds a package, by folders, because not every package shows its package.json to an import. */
function installedVersion(name: string, directory: string): string | undefined {
  const places = createRequire(join(resolve(directory), 'none.js')).resolve.paths(name) ?? []
  for (const place of places) {
    const found = packageAt(join(place, name, 'package.json'))
    if (found !== undefined) return found.version
  }
  return undefined
}

function packageAt(path: string | URL): PackageJson | undefined {
  const text = readIfThere(path)
  try {
    return text === undefined ? undefined : (JSON.parse(text.toString()) as PackageJson)
  } catch {
    return undefined
  }
}

function readIfThere(path: string | URL): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

export interface StampOptions {
  /** A commit, tag or branch: what was deployed last. @default the latest tag before this commit, else all commits */
  readonly since?: string | undefined
  readonly deployer?: string | undefined
  /** @default the working directory */
  readonly directory?: string
}

/**
 * Makes the build information of the repository at `directory`.
 * @throws PortError `precondition-failed` where git or a commit is missing
 */
export async function makeBuildInfo({
  since,
  deployer,
  directory = process.cwd(),
}: StampOptions = {}): Promise<BuildInfo> {
  if (since?.startsWith('-')) throw invalidArgument('since must name a commit, a tag or a branch')
  const [commit = '', committedAt = ''] = (
    await git(directory, 'show', '-s', '--format=%H%n%cI', 'HEAD')
  ).split('\n')
  const changes = await git(directory, 'status', '--porcelain', '--untracked-files=no')
  const from = since ?? (await latestTag(directory))
  // A full name, so that a tag or a branch that moves later says nothing else.
  const base =
    from === undefined
      ? undefined
      : (await git(directory, 'rev-parse', '--verify', `${from}^{commit}`)).trim()
  const range = base === undefined ? 'HEAD' : `${base}..HEAD`
  const log = await git(directory, 'log', `--format=${commitFormat}`, range)
  const commits = log.split('\n').filter((line) => line !== '')
  const boundary = await shallowBoundary(directory)
  return {
    format: 1,
    commit,
    committedAt: new Date(committedAt).toISOString(),
    dirty: changes !== '',
    since: base,
    commits: commits.length,
    authors: authorsOf(commits),
    truncated: commits.some((line) => boundary.has(line.split('\0')[0] ?? '')),
    builtAt: new Date().toISOString(),
    deployer,
    tools: toolsHere(directory),
  }
}

async function latestTag(directory: string): Promise<string | undefined> {
  // From the parent: a tag on this very commit is this release's own.
  const found = await git(directory, 'describe', '--tags', '--abbrev=0', 'HEAD^').catch(() => '')
  return found.trim() || undefined
}

/** The hash, then the author, then the co-authors: each in one line, apart by what no name holds. */
const commitFormat = '%H%x00%aN <%aE>%x00%(trailers:key=Co-authored-by,valueonly,unfold,separator=%x00)'

/** The commits whose parents a shallow clone left out. */
async function shallowBoundary(directory: string): Promise<ReadonlySet<string>> {
  if ((await git(directory, 'rev-parse', '--is-shallow-repository')).trim() !== 'true') return new Set()
  const path = (await git(directory, 'rev-parse', '--git-path', 'shallow')).trim()
  return new Set(readFileSync(resolve(directory, path), 'utf8').split('\n'))
}

function authorsOf(commits: readonly string[]): readonly Author[] {
  const authors = new Map<string, Author>()
  for (const commit of commits) {
    const [, ...signatures] = commit.split('\0')
    const people = new Map(
      signatures.flatMap((signature) => {
        const [, name = '', email = ''] = /^(.*?) ?<(.*)>$/.exec(signature.trim()) ?? []
        return name === '' && email === '' ? [] : [[email.toLowerCase(), { name, email }] as const]
      }),
    )
    for (const [key, person] of people) {
      // The first is the newest: how they write themselves now.
      const known = authors.get(key)
      authors.set(key, { ...(known ?? person), commits: (known?.commits ?? 0) + 1 })
    }
  }
  return [...authors.values()].toSorted((a, b) => b.commits - a.commits || (a.email < b.email ? -1 : 1))
}

async function git(directory: string, ...args: readonly string[]): Promise<string> {
  try {
    const run = promisify(execFile)
    return (await run('git', args, { cwd: directory, maxBuffer: 256 * 1_024 * 1_024 })).stdout
  } catch (cause) {
    const { code, stderr = '' } = cause as { readonly code?: unknown; readonly stderr?: string }
    const why =
      code === 'ENOENT' ? 'git is not installed' : (stderr.trim().split('\n')[0] ?? `git ended with ${code}`)
    throw new PortError({
      code: 'precondition-failed',
      message: `the repository cannot be asked: ${why}`,
      cause,
    })
  }
}

/**
 * Reads the file that `portside stamp` wrote; `undefined` where there is none.
 * @throws PortError `invalid-argument` where it is something else
 */
export function readBuildInfo(path: string = buildFile): BuildInfo | undefined {
  const text = readIfThere(path)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text.toString())
  } catch {
    throw invalidArgument(`${path} is no JSON; write it with: portside stamp`)
  }
  const info = (value ?? {}) as Partial<BuildInfo>
  const whole =
    info.format === 1 &&
    typeof info.commit === 'string' &&
    [info.committedAt, info.builtAt].every((time) => !Number.isNaN(Date.parse(time ?? ''))) &&
    Array.isArray(info.authors) &&
    typeof info.tools?.packages === 'object'
  if (whole) return info as BuildInfo
  throw invalidArgument(`${path} is no build information (${typeName(value)}); write it with: portside stamp`)
}

/** The folder that a build file stands in is the release's own: its lockfile is there, if anywhere. */
export function folderOf(path: string): string {
  return dirname(resolve(path))
}
