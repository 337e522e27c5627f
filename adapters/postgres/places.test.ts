import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, describe, expect, inject, test, vi } from 'vitest'
import { query } from '../../contract-tests/servers/clients.setup.ts'
import type { PlaceSupply, SupplyOptions } from '../../src/servers/isolation.ts'
import { isolation } from './server.ts'

const admin = inject('postgresUrl')
const supplies: PlaceSupply[] = []
const children: ChildProcess[] = []
const folder = mkdtempSync(join(tmpdir(), 'portside-places-'))
afterAll(() => rmSync(folder, { recursive: true, maxRetries: 5 }))
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(supplies.splice(0).map((each) => each.close()))
})

function building(text: string): (url: string) => Promise<void> {
  return vi.fn(async (url: string) => void (await query(url, text)))
}

/** A template that no other test has. */
function template(text: string): { key: string; build: (url: string) => Promise<void> } {
  return { key: randomUUID(), build: building(text) }
}

async function open(options: Partial<SupplyOptions> = {}): Promise<PlaceSupply> {
  const supply = await isolation.supply(admin, { service: 'orders', rights: 'data', ...options })
  supplies.push(supply)
  return supply
}

interface PlaceRow {
  readonly name: string
  readonly state: string
}

function placesOf(url: string): Promise<PlaceRow[]> {
  return query<PlaceRow>(
    admin,
    `select name, state from portside_tests.places
     where template = (select template from portside_tests.places where name = '${nameOf(url)}')`,
  )
}

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1)
}

async function exists(database: string): Promise<boolean> {
  const found = await query(admin, `select from pg_database where datname = '${database}'`)
  return found.length === 1
}

const gone = (database: string): Promise<void> =>
  expect.poll(() => exists(database), { timeout: 20_000 }).toBe(false)

describe('a place', () => {
  test('holds what its template holds, and nothing of another', async () => {
    const supply = await open({
      template: template('create table orders (id int); insert into orders values (1)'),
    })
    const [first, second] = await Promise.all([supply.take(), supply.take()])
    await query(first.url, 'insert into orders values (2)')
    expect(await query(first.url, 'select id from orders order by id')).toEqual([{ id: 1 }, { id: 2 }])
    expect(await query(second.url, 'select id from orders')).toEqual([{ id: 1 }])
    const crossing = new URL(first.url)
    crossing.pathname = new URL(second.url).pathname
    await expect(query(crossing.href, 'select 1')).rejects.toThrow(/permission denied for database/)
  })

  test('lets its role work with data, under row security, and do nothing else', async () => {
    const supply = await open({
      template: template(`
        create schema sales;
        create table sales.orders (id int generated always as identity, open bool);
        alter table sales.orders enable row level security;
        create policy visible on sales.orders using (open);
        create table pgmigrations (name text); insert into pgmigrations values ('0001');
        insert into sales.orders (open) values (true), (false);`),
    })
    const { url } = await supply.take()
    const [role] = await query(
      url,
      `select rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication from pg_roles where rolname = current_user`,
    )
    expect(role).toEqual({
      ...{ rolsuper: false, rolcreatedb: false, rolcreaterole: false },
      ...{ rolbypassrls: false, rolreplication: false },
    })
    expect(await query(url, 'select open from sales.orders')).toEqual([{ open: true }])
    expect(await query(url, 'insert into sales.orders (open) values (true) returning id')).toEqual([
      { id: 3 },
    ])
    await query(url, 'update sales.orders set open = true; delete from sales.orders')
    await query(url, 'create temporary table mine (id int)')
    expect(await query(url, 'select name from pgmigrations')).toHaveLength(1)
    for (const forbidden of [
      'create table orders (id int)',
      'create schema mine',
      'create database mine',
      'create role mine',
      'alter table sales.orders disable row level security',
      'drop table sales.orders',
      'truncate sales.orders',
      'delete from pgmigrations',
      'alter role current_user superuser',
      "copy (select 1) to program 'true'",
    ]) {
      await expect(query(url, forbidden), forbidden).rejects.toThrow(/permission denied|must be owner/)
    }
  })

  test('lets an owner change the schema, and no other', async () => {
    const supply = await open({ rights: 'owner', template: template('create table orders (id int)') })
    const [first, second] = await Promise.all([supply.take(), supply.take()])
    await query(first.url, 'alter table orders add total int; create table more (); create schema mine')
    await expect(query(second.url, 'select total from orders')).rejects.toThrow(/does not exist/)
    await expect(query(first.url, 'create role other')).rejects.toThrow(/permission denied/)
  })

  test('gives the rights that migrations grant to the role of production, and no more', async () => {
    const role = `app_${randomUUID().slice(0, 8)}`
    const supply = await open({
      rights: { role },
      template: template(
        `create table orders (id int); create table secrets (id int); grant select on orders to ${role}`,
      ),
    })
    const { url } = await supply.take()
    expect(await query(url, 'select * from orders')).toEqual([])
    await expect(query(url, 'select * from secrets')).rejects.toThrow(/permission denied/)
    await expect(query(url, 'insert into orders values (1)')).rejects.toThrow(/permission denied/)
  })

  test('refuses a role that is more than an app', async () => {
    await expect(open({ rights: { role: 'postgres' } })).rejects.toMatchObject({
      code: 'precondition-failed',
    })
  })

  test('has the extensions that only an administrator may install', async () => {
    const supply = await open({ extensions: ['pg_buffercache'], template: template('select 1') })
    const { url } = await supply.take()
    expect(
      await query(url, "select extname from pg_extension where extname = 'pg_buffercache'"),
    ).toHaveLength(1)
  })

  test('settings of its role reach no other', async () => {
    const supply = await open()
    const first = await supply.take()
    await query(first.url, `alter role current_user set search_path = nowhere`)
    expect(await query(first.url, 'show search_path')).toEqual([{ search_path: 'nowhere' }])
    const second = await supply.take()
    expect(await query(second.url, 'show search_path')).not.toEqual([{ search_path: 'nowhere' }])
  })

  test('goes with its role, whoever is still connected', async () => {
    const supply = await open()
    const place = await supply.take()
    const held = new pg.Client({ connectionString: place.url })
    held.on('error', () => {})
    await held.connect()
    await place.drop()
    await gone(nameOf(place.url))
    await expect(held.query('select 1')).rejects.toThrow()
    await expect
      .poll(() => query(admin, `select from pg_roles where rolname = '${nameOf(place.url)}'`))
      .toEqual([])
  })

  test('that is kept outlives its supply, with no one connected, and only the newest ten do', async () => {
    const service = `kept-${randomUUID()}`
    const supply = await open({ service })
    const first = await supply.take()
    const held = new pg.Client({ connectionString: first.url })
    held.on('error', () => {})
    await held.connect()
    await first.keep('the first test')
    await expect(held.query('select 1')).rejects.toThrow()
    expect(await query(first.url, 'select 1 as one')).toEqual([{ one: 1 }])
    const later: string[] = []
    for (let count = 0; count < 10; count += 1) {
      const place = await supply.take()
      await place.keep(`test ${count}`)
      later.push(place.url)
    }
    await supplies.pop()?.close()
    await gone(nameOf(first.url))
    for (const url of later) expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })
})

describe('the template', () => {
  test('is built once for one content, and anew for another', async () => {
    const { key, build } = template('create table orders (id int)')
    for (let times = 0; times < 2; times += 1) await (await open({ template: { key, build } })).take()
    expect(build).toHaveBeenCalledTimes(1)
    await (await open({ template: { key: `${key}x`, build } })).take()
    await (await open({ template: { key, build }, extensions: ['pg_buffercache'] })).take()
    expect(build).toHaveBeenCalledTimes(3)
  })

  test('that fails to build tells why, leaves nothing, and is tried again', async () => {
    const key = randomUUID()
    const failing = building('create table orders (id int); select 1 / 0')
    await expect(open({ template: { key, build: failing } })).rejects.toThrow(/division by zero/)
    const unfinished = nameOf(vi.mocked(failing).mock.lastCall?.[0] ?? '')
    expect(unfinished).toMatch(/_unfinished$/)
    expect(await exists(unfinished)).toBe(false)
    const { url } = await (await open({ template: { key, build: building('select 1') } })).take()
    await expect(query(url, 'select * from orders')).rejects.toThrow(/does not exist|permission denied/)
  })

  test('is built by one of many processes that come at once', async () => {
    const log = join(folder, 'many.log')
    const key = randomUUID()
    const processes = [1, 2, 3].map(() => start('end', key, log))
    const exits = processes.map((child) => once(child, 'exit'))
    const urls = await Promise.all(processes.map(firstLine))
    expect(new Set(urls.map(nameOf)).size).toBe(3)
    // Each to its end: what closing still has to do keeps a process that has nothing else.
    expect(await Promise.all(exits)).toEqual([1, 2, 3].map(() => [0, null]))
    expect(readFileSync(log, 'utf8')).toBe('built\n')
  })

  test('is whole after a process was killed in the midst of building it', async () => {
    const log = join(folder, 'killed.log')
    const key = randomUUID()
    const builder = start('build', key, log)
    expect(await firstLine(builder)).toBe('building')
    builder.kill('SIGKILL')
    await once(builder, 'exit')
    const url = await firstLine(start('hold', key, log))
    expect(await query(url, 'select count(*)::int as count from orders')).toEqual([{ count: 100 }])
    expect(readFileSync(log, 'utf8')).toBe('built\nbuilt\n')
    const found = await query<{ template: string }>(
      admin,
      `select template from portside_tests.places where name = '${nameOf(url)}'`,
    )
    expect(await exists(`${found[0]?.template}_unfinished`)).toBe(false)
  })

  test('that no one has used for a week goes, with what was made of it', async () => {
    const supply = await open({ template: template('create table orders (id int)') })
    const { url } = await supply.take()
    const found = await query<{ template: string }>(
      admin,
      `select template from portside_tests.places where name = '${nameOf(url)}'`,
    )
    const name = found[0]?.template ?? ''
    await supplies.pop()?.close()
    await query(
      admin,
      `update portside_tests.templates set used_at = now() - interval '8 days' where name = '${name}'`,
    )
    await open()
    await gone(name)
    const left = await query(admin, `select from portside_tests.places where template = '${name}'`)
    expect(left).toEqual([])
  })
})

describe('the supply', () => {
  test('makes places ahead of need and gives those first, to other processes too', async () => {
    const { key, build } = template('create table orders (id int)')
    const supply = await open({ template: { key, build }, ready: 2 })
    const first = await supply.take()
    const ready = async (): Promise<string[]> =>
      (await placesOf(first.url)).filter(({ state }) => state === 'ready').map(({ name }) => name)
    await expect.poll(ready, { timeout: 20_000 }).toHaveLength(2)
    const made = await ready()
    const other = await open({ template: { key, build }, ready: 2 })
    const taken = [await supply.take(), await other.take()].map(({ url }) => nameOf(url))
    expect(taken.toSorted()).toEqual(made.toSorted())
  })

  test('times both ways of copying before it settles for one', async () => {
    const supply = await open({ template: template('create table orders (id int)'), ready: 6 })
    const { url } = await supply.take()
    const samples = () =>
      query(
        admin,
        `select cardinality(wal_log_ms) as wal, cardinality(file_copy_ms) as file from portside_tests.templates
         where name = (select template from portside_tests.places where name = '${nameOf(url)}')`,
      )
    await expect.poll(samples, { timeout: 20_000 }).toEqual([{ wal: 3, file: 3 }])
  })

  test('sweeps what a killed process had, and leaves alone what a living one has', async () => {
    const key = randomUUID()
    const log = join(folder, 'sweep.log')
    const [dead, alive] = [start('hold', key, log), start('hold', key, log)]
    const [lost, used] = await Promise.all([firstLine(dead), firstLine(alive)])
    const own = await (await open()).take()
    dead.kill('SIGKILL')
    await once(dead, 'exit')
    await open()
    await gone(nameOf(lost))
    for (const url of [used, own.url]) expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('drops what was not given up when it is closed', async () => {
    const { url } = await (await open()).take()
    await supplies.pop()?.close()
    expect(await exists(nameOf(url))).toBe(false)
  })

  test('hands out nothing after it was closed', async () => {
    const supply = await open()
    await supplies.pop()?.close()
    await expect(supply.take()).rejects.toMatchObject({ code: 'closed' })
  })

  test.each(['', 'redis://localhost', 'postgres://u:canary@localhost/db?nonsense=1'])(
    'refuses the URL "%s"',
    async (url) => {
      const error = await isolation.supply(url, { service: 'orders', rights: 'data' }).then(
        () => expect.fail('it resolved'),
        (reason: unknown) => reason as Error,
      )
      expect(error).toMatchObject({ code: 'invalid-argument' })
      expect(error.message).not.toContain('canary')
    },
  )

  test('tells of a server that is not there', async () => {
    const gone = isolation.supply('postgres://u:canary@127.0.0.1:1/postgres', {
      service: 'orders',
      rights: 'data',
    })
    await expect(gone).rejects.toMatchObject({ code: 'unavailable' })
  })
})

/** Another process that takes a place. */
function start(mode: 'build' | 'hold' | 'end', key: string, log: string): ChildProcess {
  const file = fileURLToPath(new URL('./fixtures/place.ts', import.meta.url))
  const child = spawn(process.execPath, [file, admin, mode, key, log], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return line
  return expect.fail('it ended without a word')
}
