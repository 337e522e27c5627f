/** Servers that outlive who started them, on a small program that stands for any engine. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DatastoreServer, KeptServer, StartOptions } from '../adapter.ts'
import type { ServerEngine } from './engine.ts'
import { toyServer } from './fixtures/toy-server.ts'
import { ServerFolder } from './folder.ts'
import { stopKept } from './keep.ts'
import { takeLock } from './lock.ts'
import { identifyProcess, type ProcessId } from './processes.ts'

let folder: string
let directory: string
const children: ChildProcess[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-kept-'))
  directory = join(folder, 'toy')
})
afterEach(async () => {
  await stopKept(new ServerFolder(directory))
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

function keep(
  options: Partial<StartOptions> = {},
  server: DatastoreServer = toyServer(),
): Promise<KeptServer> {
  if (server.keep === undefined) throw new Error('a toy can be kept')
  return server.keep({ version: '1.2', directory, ...options })
}

function lives(pid: number): boolean {
  return identifyProcess(pid) !== undefined
}

test('asked for many times at once, one is started and the others find it', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => keep()))
  expect(new Set(all.map(({ pid }) => pid)).size).toBe(1)
  expect(all.filter(({ reused }) => !reused)).toHaveLength(1)
})

test('on another port than it has is a conflict that says how to move it', async () => {
  const { port, pid } = await keep()
  await expect(keep({ port: port + 1 })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(new RegExp(`already runs on port ${port}; portside down`)),
  })
  expect(lives(pid)).toBe(true)
})

test('that is stopped while another is started on its folder, neither is forgotten', async () => {
  const { pid, port } = await keep()
  const { kept } = new ServerFolder(directory).lastRun ?? {}
  const lock = await takeLock(join(directory, 'lock'), { waitMs: 0 })
  const stopping = stopKept(new ServerFolder(directory))
  // As another process does that has the lock: the first one crashed, and this is the next one.
  process.kill(pid, 'SIGKILL')
  const next = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  children.push(next)
  await once(next, 'spawn')
  const id = identifyProcess(next.pid as number) as ProcessId
  if (kept !== undefined) new ServerFolder(directory).lastRun = { port, process: id, kept }
  if ('release' in lock) lock.release()
  await stopping
  expect(lives(id.pid)).toBe(false)
  expect(new ServerFolder(directory).lastRun).toEqual({ port })
})

describe('data that was made otherwise is not used unless that is accepted, and what changed is told:', () => {
  interface Change {
    readonly before?: Partial<ServerEngine>
    readonly options?: Partial<StartOptions>
    readonly server?: DatastoreServer
    readonly change?: () => void
  }
  const accepted = { changed: 'accept' } as const

  test.each([
    ['the engine', { server: toyServer('runs', '1.2.3', { engine: 'doll' }) }, /the engine: it was toy/],
    [
      'the pin',
      { options: { version: '1.3' }, server: toyServer('runs', '1.3.0') },
      /the pin: it ran Toy 1\.2\.3, and 1\.3 is pinned/,
    ],
    ['how safe writes are', { options: { durable: false } }, /the settings: every write was kept/],
    [
      'what a data folder is made with',
      { before: { recipe: '--locale=C' }, server: toyServer('runs', '1.2.3', { recipe: '--locale=de_DE' }) },
      /the settings: a new data folder would be made with others/,
    ],
    [
      'the passwords',
      { change: () => writeFileSync(join(directory, 'passwords.json'), '{ "admin": "canary-canary" }') },
      /the credentials: .*passwords\.json is not what it was/,
    ],
  ] as [string, Change, RegExp][])('%s', async (_, { before, options, server, change }, told) => {
    const first = await keep({}, toyServer('runs', '1.2.3', before))
    const data = join(directory, 'data', 'precious')
    writeFileSync(data, 'kept')
    change?.()
    const refused = await keep(options, server).catch((error: Error) => error)
    expect(refused).toMatchObject({ code: 'precondition-failed', message: expect.stringMatching(told) })
    expect(String(refused)).toMatch(
      /nothing was touched[\s\S]*undo the change[\s\S]*--accept-changes[\s\S]*portside reset/,
    )
    expect(String(refused)).not.toContain('canary')
    expect(lives(first.pid)).toBe(true)

    const second = await keep({ ...options, ...accepted }, server)
    expect(second.reused).toBe(false)
    expect(lives(first.pid)).toBe(false)
    expect(readFileSync(data, 'utf8')).toBe('kept')
    expect(await keep(options, server)).toMatchObject({ reused: true, pid: second.pid })
  })

  test('but not of data that was made before its engine had a way to make it', async () => {
    const { pid } = await keep()
    expect((await keep({}, toyServer('runs', '1.2.3', { recipe: '--locale=C' }))).pid).toBe(pid)
  })
})
