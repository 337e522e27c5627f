/** A command that is cut short, at each of its steps: nothing half-made is left, and the next one goes on. */
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { serversIn, stopServers } from '../servers/kept.ts'
import { takeLock } from '../servers/lock.ts'
import { identifyProcess } from '../servers/processes.ts'
import {
  dataOf,
  datastores,
  folder,
  lives,
  postgresAlone,
  start,
  toys,
  up,
  upPostgres,
} from './fixtures/commands.ts'

vi.setConfig({ testTimeout: 120_000 })

const signals = [
  ['SIGINT', 130],
  ['SIGKILL', null],
] as const

const at = (...path: string[]): string => join(folder, '.portside', ...path)
const there =
  (...path: string[]) =>
  (): boolean =>
    existsSync(at(...path))

/** What is there only while a command is at work. */
function unfinishedIn(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(
    (path) => /(^|\/)lock(\.|$)|unfinished|\.tmp$/.test(path) && !path.includes('/data/'),
  )
}

/** The processes that work in the test's folder or were told of it. */
function processesHere(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const told = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ')
        const works = readlinkSync(`/proc/${pid}/cwd`)
        return told.includes(folder) || works.startsWith(folder) ? [`${pid} ${told}`] : []
      } catch {
        // Gone in the meantime.
        return []
      }
    })
}

// Where each process works is a file on Linux alone.
describe.runIf(process.platform === 'linux')('up that is cut short', () => {
  const steps: readonly [step: string, reached: (told: string) => boolean][] = [
    ['the data folder is being made', there('postgresql-17', 'data.unfinished', 'base')],
    ['the data folder was made', there('postgresql-17', 'data')],
    ['the server was started', there('postgresql-17', 'server.json')],
    ['migrations are applied', (told) => told.includes('orders: applying')],
  ]

  const cases = steps.flatMap(([step, reached]) =>
    signals.map(([signal, code]) => ({ step, reached, signal, code })),
  )
  test.each(cases)('by $signal when $step', async ({ reached, signal, code }) => {
    const { child, err, ended } = start(['up', '--services', datastores], {
      env: { ...postgresAlone, TEST_MIGRATION: 'waits' },
    })
    await expect.poll(() => reached(err()), { timeout: 60_000, interval: 5 }).toBe(true)
    child.kill(signal)
    expect((await ended).code).toBe(code)
    if (signal !== 'SIGKILL') {
      expect(unfinishedIn(at())).toEqual([])
      const states = (await serversIn(at())).map(({ state }) => state)
      expect(states.filter((state) => state !== 'stopped')).toEqual([])
    }
    // At once: what the killed one had started may be at work still.
    const next = await upPostgres()
    expect(next, next.err).toMatchObject({ code: 0 })
    expect(next.out).toMatch(/orders +postgresql 17\.10 on 127\.0\.0\.1:\d+ +(started|ran already)/)
    expect(unfinishedIn(at())).toEqual([])
    await stopServers(at())
    await expect.poll(processesHere, { timeout: 20_000 }).toEqual([])
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('by %s while it waits for another leaves that its lock', async (signal, code) => {
    mkdirSync(at())
    const lock = await takeLock(at('lock'), { waitMs: 0 })
    const { child, err, ended } = start(['up', '--services', toys])
    await expect.poll(err, { timeout: 30_000 }).toContain(`waiting for process ${process.pid}`)
    child.kill(signal)
    expect((await ended).code).toBe(code)
    expect(JSON.parse(readFileSync(at('lock'), 'utf8'))).toEqual(identifyProcess(process.pid))
    expect(readdirSync(at()).sort()).toEqual(['.gitignore', 'lock'])
    if ('release' in lock) lock.release()
    expect((await up()).code).toBe(0)
  })

  test.each(signals)('by %s while packages are fetched ends that too', async (signal, code) => {
    const bin = join(folder, 'bin')
    const cache = join(folder, 'cache')
    const pidFile = join(folder, 'fetching')
    mkdirSync(bin)
    const scripts = {
      'redis-server': 'echo "Redis server v=6.2.14 sha=0"',
      'apt-get': `echo $$ > '${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; exec sleep 600`,
      'apt-cache': 'true',
      dpkg: 'true',
    }
    for (const [name, script] of Object.entries(scripts)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(bin, name), 0o755)
    }
    const env = {
      PATH: `${bin}${delimiter}${process.env.PATH}`,
      PORTSIDE_CACHE: cache,
      ORDERS_URL: 'postgres://user:password@127.0.0.1:1/orders',
      INVOICES_URL: 'postgres://user:password@127.0.0.1:1/invoices',
    }
    const fetch = async (): Promise<{ readonly pid: number; readonly code: number | null }> => {
      rmSync(pidFile, { force: true })
      const { child, ended } = start(['up', '--services', datastores], { env })
      await expect.poll(() => existsSync(pidFile), { timeout: 30_000 }).toBe(true)
      child.kill(signal)
      return { pid: Number(readFileSync(pidFile, 'utf8')), code: (await ended).code }
    }
    for (let time = 1; time <= 2; time += 1) {
      const ended = await fetch()
      expect(ended.code).toBe(code)
      await expect.poll(() => lives(ended.pid), { timeout: 20_000 }).toBe(false)
    }
    // Of the two that were killed, the second cleared away what the first had left.
    const left = readdirSync(cache).filter((name) => name.endsWith('.tmp'))
    expect(left).toHaveLength(signal === 'SIGKILL' ? 1 : 0)
    expect(unfinishedIn(at()).filter((path) => signal !== 'SIGKILL' || !path.endsWith('lock'))).toEqual([])
  })
})

describe('a command that is cut short', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'by %s while a server comes up leaves no process, and the next one starts it',
    async (signal, code) => {
      const { child, err, ended } = start(['up', '--services', toys], { env: { TOY_MODE: 'never-ready' } })
      const pidFile = join(dataOf('toy-1'), 'pid')
      await expect.poll(() => existsSync(pidFile), { timeout: 20_000 }).toBe(true)
      // What takes long is told.
      await expect.poll(err, { timeout: 20_000 }).toContain('waiting for Toy to be ready')
      const pid = Number(readFileSync(pidFile, 'utf8'))
      child.kill(signal)
      expect((await ended).code).toBe(code)
      expect(lives(pid)).toBe(false)
      expect(readdirSync(join(folder, '.portside'))).not.toContain('lock')
      expect((await up()).out).toContain('started')
    },
  )

  test('by SIGKILL while a server comes up takes that with it, and its locks are void', async () => {
    const { child } = start(['up', '--services', toys], { env: { TOY_MODE: 'never-ready' } })
    const pidFile = join(dataOf('toy-1'), 'pid')
    await expect.poll(() => existsSync(pidFile), { timeout: 20_000 }).toBe(true)
    const pid = Number(readFileSync(pidFile, 'utf8'))
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(existsSync(join(folder, '.portside', 'lock'))).toBe(true)
    expect((await up()).out).toContain('started')
    expect(lives(pid)).toBe(false)
    expect(existsSync(join(folder, '.portside', 'lock'))).toBe(false)
  })
})
