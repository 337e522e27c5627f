import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { describe, expect, test, vi } from 'vitest'
import { query } from '../../contract-tests/servers/clients.setup.ts'
import { run } from '../servers/command.ts'
import { startServices } from '../servers/services.ts'
import {
  dataOf,
  folder,
  lives,
  onlyServer,
  ordersUrl,
  portside,
  up,
  upPostgres,
} from './fixtures/commands.ts'
import type { Ended } from './fixtures/program.ts'

vi.setConfig({ testTimeout: 120_000 })

describe('a server', () => {
  test('that was killed shows in status, and comes back on its port with its data', async () => {
    expect((await upPostgres()).code).toBe(0)
    const url = await ordersUrl()
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
    expect(await ordersUrl()).toBe(url)
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
