import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PortError } from '../errors.ts'
import { makeBuildInfo, readBuildInfo, toolsHere } from './build.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-build-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function git(...args: readonly string[]): string {
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
  }
  return execFileSync('git', args, { cwd: folder, encoding: 'utf8', env, stdio: 'pipe' }).trim()
}

function commit(author: string, date: string): string {
  const [name = ''] = author.split(' <')
  const who = ['-c', `user.name=${name}`, '-c', 'user.email=committer@example.org']
  git(...who, 'commit', '--allow-empty', '-q', '-m', 'change', `--author=${author}`, `--date=${date}`)
  return git('rev-parse', 'HEAD')
}

const ada = 'Ada <ada@example.org>'
const bob = 'Bob <bob@example.org>'

describe('a stamp', () => {
  beforeEach(() => git('init', '-q', '-b', 'main'))

  test('tells the commit, when it was made, and who wrote what is new since the last release', async () => {
    commit(bob, '2026-01-01T10:00:00Z')
    const released = commit(bob, '2026-01-02T10:00:00Z')
    git('tag', 'v1')
    commit(ada, '2026-01-03T10:00:00Z')
    commit(bob, '2026-01-04T10:00:00Z')
    const last = commit(ada, '2026-01-05T10:00:00+02:00')
    const info = await makeBuildInfo({ directory: folder, deployer: 'Ada' })
    expect(info).toMatchObject({
      format: 1,
      commit: last,
      dirty: false,
      since: released,
      deployer: 'Ada',
      authors: [
        { name: 'Ada', email: 'ada@example.org', commits: 2 },
        { name: 'Bob', email: 'bob@example.org', commits: 1 },
      ],
    })
    expect(info.committedAt).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(Date.parse(info.builtAt)).toBeGreaterThanOrEqual(Date.parse(info.committedAt))
  })

  test('of a tagged commit counts from the tag before it, and of a first commit counts all', async () => {
    const first = commit(ada, '2026-01-01T10:00:00Z')
    expect(await makeBuildInfo({ directory: folder })).toMatchObject({
      since: undefined,
      authors: [{ commits: 1 }],
    })
    git('tag', 'v1')
    commit(bob, '2026-01-02T10:00:00Z')
    git('tag', 'v2')
    expect(await makeBuildInfo({ directory: folder })).toMatchObject({
      since: first,
      authors: [{ name: 'Bob' }],
    })
    expect(await makeBuildInfo({ directory: folder, since: 'HEAD' })).toMatchObject({ authors: [] })
  })

  test('counts who is named as a co-author, and no one twice in one commit', async () => {
    const message = 'pair\n\nCo-authored-by: Ada <ADA@example.org>\nCo-authored-by: Bob <bob@example.org>'
    const who = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org']
    git(...who, 'commit', '--allow-empty', '-q', '-m', message)
    commit(bob, '2026-01-02T10:00:00Z')
    expect(await makeBuildInfo({ directory: folder })).toMatchObject({
      commits: 2,
      truncated: false,
      authors: [
        { name: 'Bob', commits: 2 },
        { name: 'Ada', commits: 1 },
      ],
    })
  })

  test('of a shallow clone says that authors are missing, unless it has all that is new', async () => {
    for (const author of [ada, bob, ada, bob]) commit(author, '2026-01-01T10:00:00Z')
    const clone = join(folder, 'clone')
    git('clone', '-q', '--depth', '2', `file://${folder}`, clone)
    const told = await makeBuildInfo({ directory: clone })
    expect(told).toMatchObject({ commits: 2, truncated: true, since: undefined })
    const known = git('-C', clone, 'rev-parse', 'HEAD^')
    expect(await makeBuildInfo({ directory: clone, since: known })).toMatchObject({
      truncated: false,
      authors: [{ name: 'Bob', commits: 1 }],
    })
  })

  test('tells of changes that are not committed, and not of files that git does not know', async () => {
    writeFileSync(join(folder, 'a'), '1')
    git('add', 'a')
    commit(ada, '2026-01-01T10:00:00Z')
    writeFileSync(join(folder, 'unknown'), '')
    expect((await makeBuildInfo({ directory: folder })).dirty).toBe(false)
    writeFileSync(join(folder, 'a'), '2')
    expect((await makeBuildInfo({ directory: folder })).dirty).toBe(true)
  })

  test.each([['no-such-ref'], ['--output=canary']])('since %s is refused', async (since) => {
    commit(ada, '2026-01-01T10:00:00Z')
    await expect(makeBuildInfo({ directory: folder, since })).rejects.toSatisfy(PortError.is)
  })

  test('of a repository without a commit says so', async () => {
    await expect(makeBuildInfo({ directory: folder })).rejects.toMatchObject({ code: 'precondition-failed' })
  })
})

test('outside a repository says so', async () => {
  // Git would look further up.
  process.env.GIT_CEILING_DIRECTORIES = tmpdir()
  try {
    await expect(makeBuildInfo({ directory: folder })).rejects.toMatchObject({ code: 'precondition-failed' })
  } finally {
    delete process.env.GIT_CEILING_DIRECTORIES
  }
})

describe('the tools of a folder', () => {
  test('are this Node, the lockfile by its hash, and the installed clients', () => {
    writeFileSync(join(folder, 'package-lock.json'), '{}')
    mkdirSync(join(folder, 'node_modules/pg'), { recursive: true })
    writeFileSync(join(folder, 'node_modules/pg/package.json'), '{"name":"pg","version":"8.99.0"}')
    expect(toolsHere(folder)).toEqual({
      node: process.version,
      lockfile: { file: 'package-lock.json', sha256: createHash('sha256').update('{}').digest('hex') },
      packages: { portside: expect.any(String), pg: '8.99.0' },
    })
  })

  test('of a workspace share the lockfile above, but take none from outside the repository', () => {
    const inner = join(folder, 'packages/shop')
    mkdirSync(inner, { recursive: true })
    writeFileSync(join(folder, 'pnpm-lock.yaml'), 'lockfileVersion: 9')
    expect(toolsHere(inner).lockfile?.file).toBe('pnpm-lock.yaml')
    mkdirSync(join(inner, '.git'))
    expect(toolsHere(inner).lockfile).toBeUndefined()
  })
})

describe('a file of build information', () => {
  test('that is not there is none', () => expect(readBuildInfo(join(folder, 'none.json'))).toBeUndefined())

  test.each(['', 'x', '{}', 'null', '[]', '{"format":1,"commit":"a","committedAt":"x","builtAt":"y"}'])(
    'that holds %j is refused, with what writes one',
    (text) => {
      writeFileSync(join(folder, 'build.json'), text)
      expect(() => readBuildInfo(join(folder, 'build.json'))).toThrow(/portside stamp/)
    },
  )
})
