/** What tests find on their datastores, and what makes a template another one. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { postgres } from '../../adapters/postgres/index.ts'
import { sql } from '../ports/sql.ts'
import { SqlDatabase } from '../ports/sql-database.ts'
import { bounded, defineServices, type SeedDeclaration } from '../services/declare.ts'
import { type DatastoreTestOptions, PlacesSupply } from './places.ts'

let folder: string
let migrations: string
let file: string
const supplies: PlacesSupply[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-places-'))
  migrations = join(folder, 'migrations')
  mkdirSync(migrations)
  file = join(folder, 'seed.mjs')
  // Of this test alone, so that no other test has made its template.
  const own = `-- ${folder}\n`
  write(
    'migrations/0001_shop.sql',
    `${own}create table kinds (name text primary key); insert into kinds values ('book'), ('lamp');
     create table things (id serial primary key, kind text not null references kinds, name text not null);`,
  )
  write('names.mjs', "export const names = ['ant', 'bee']\n")
  write(
    'seed.mjs',
    `import { names } from './names.mjs'
     export default { tables: { things: { columns: { name: ({ row }) => names[row % names.length] } } } }\n`,
  )
})
afterEach(async () => {
  await Promise.all(supplies.splice(0).map((supply) => supply.close()))
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text)
}

type Options = Omit<DatastoreTestOptions<SqlDatabase>, 'adminUrl'>

/** The URL of a place, of a service with that seed. */
async function take(seed?: string | URL | SeedDeclaration, options: Options = {}): Promise<string> {
  const declared = { adapter: postgres, version: '17.10', migrations } as const
  const services = defineServices({
    shop: seed === undefined ? bounded(SqlDatabase, declared) : bounded(SqlDatabase, { ...declared, seed }),
  })
  const supply = await PlacesSupply.open(services, {
    datastores: { shop: { ...options, adminUrl: inject('postgresUrl') } },
    onProgress: () => {},
  })
  supplies.push(supply)
  return (await supply.take()).env.SHOP_URL ?? expect.fail('it has no URL')
}

async function ask<Row>(text: string, url: string = inject('postgresUrl')): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows as Row[]
  } finally {
    await client.end()
  }
}

const things = (url: string): Promise<{ id: number; kind: string; name: string }[]> =>
  ask('select id, kind, name from things order by id', url)

async function templateOf(url: string): Promise<string> {
  const [row] = await ask<{ template: string }>(
    `select template from portside_tests.places where name = '${new URL(url).pathname.slice(1)}'`,
  )
  return row?.template ?? expect.fail('its place is not known')
}

describe('a declared seed', () => {
  test('is what every test finds, the same for each', async () => {
    const seed = { file: pathToFileURL(file), rows: 20 }
    const [first, second] = [await take(seed), await take(seed)]
    const rows = await things(first)
    expect(rows).toHaveLength(20)
    expect(new Set(rows.map(({ name }) => name))).toEqual(new Set(['ant', 'bee']))
    expect(await templateOf(second)).toBe(await templateOf(first))
    await ask("update things set name = 'mine'", first)
    expect(await things(second)).toEqual(rows)
    // And an app goes on from there.
    const next = "insert into things (kind, name) values ('book', 'new') returning id"
    expect(await ask(next, second)).toEqual([{ id: 21 }])
  })

  test('leaves alone what the migrations have written, and refers to it', async () => {
    const url = await take({ rows: 30 })
    expect(await ask('select name from kinds order by 1', url)).toEqual([{ name: 'book' }, { name: 'lamp' }])
    expect(new Set((await things(url)).map(({ kind }) => kind))).toEqual(new Set(['book', 'lamp']))
  })

  test('needs no file where the schema says enough', async () => {
    expect(await things(await take({}))).toHaveLength(100)
  })

  test('gives the test no more rights than without it', async () => {
    const url = await take({ rows: 5 })
    await expect(ask('drop table things', url)).rejects.toThrow(/must be owner/)
    await expect(ask('truncate things', url)).rejects.toThrow(/permission denied/)
  })

  test('gives way to what a test wants instead', async () => {
    expect(await things(await take({ rows: 5 }, { seed: false }))).toEqual([])
    const own = {
      key: folder,
      apply: async (shop: SqlDatabase) =>
        void (await shop.execute(sql`insert into things (kind, name) values ('lamp', 'own')`)),
    }
    expect(await things(await take({ rows: 5 }, { seed: own }))).toMatchObject([{ name: 'own' }])
  })
})

describe('the template is another one', () => {
  const seed = { rows: 6, seed: 7 }

  test.each<[string, () => Promise<string>]>([
    ['for more rows', () => take({ ...seed, file, rows: 7 })],
    ['for another seed', () => take({ ...seed, file, seed: 8 })],
    ['for no seed', () => take()],
    ['for no file', () => take(seed)],
    [
      'for another reference date',
      () => {
        write('seed.mjs', "export default { referenceDate: '2026-01-01' }")
        return take({ ...seed, file })
      },
    ],
    [
      'for another content of the file',
      () => {
        write('seed.mjs', "export default { tables: { things: { columns: { name: ['cat'] } } } }")
        return take({ ...seed, file })
      },
    ],
    [
      'for another content of a file that it imports',
      () => {
        write('names.mjs', "export const names = ['cow', 'dog']\n")
        return take({ ...seed, file })
      },
    ],
    [
      'for another migration',
      () => {
        write('migrations/0002_more.sql', 'alter table things add more int;')
        return take({ ...seed, file })
      },
    ],
    ['for another extension', () => take({ ...seed, file }, { extensions: ['pg_buffercache'] })],
    ['for other rights', () => take({ ...seed, file }, { rights: 'owner' })],
  ])('%s', async (_, change) => {
    const before = await templateOf(await take({ ...seed, file }))
    expect(await templateOf(await change())).not.toBe(before)
  })

  test('for nothing else', async () => {
    const before = await templateOf(await take({ ...seed, file }))
    for (const name of ['seed.mjs', 'names.mjs', 'migrations/0001_shop.sql']) {
      utimesSync(join(folder, name), 1, 1)
    }
    write('other.mjs', 'export const other = 1')
    expect(await templateOf(await take({ seed: 7, rows: 6, file: pathToFileURL(file) }))).toBe(before)
  })
})

test('a seed file that has changed is loaded anew by the process that knows it', async () => {
  expect((await things(await take(file))).some(({ name }) => name === 'cat')).toBe(false)
  write('seed.mjs', "export default { tables: { things: { columns: { name: ['cat'] } } } }")
  expect((await things(await take(file))).every(({ name }) => name === 'cat')).toBe(true)
})

describe('a seed that cannot be had is told, with the service', () => {
  test.each<[string, string | undefined, RegExp]>([
    ['a file that is not there', undefined, /there is no file .*seed\.mjs/],
    ['a file that says nothing', 'export const seed = {}', /seed\.mjs has no default export/],
    [
      'a table that there is not',
      'export default { tables: { nothing: {} } }',
      /^shop\.seed\(".*seed\.mjs"\): .*a table "nothing" that there is not/s,
    ],
  ])('%s', async (_, text, message) => {
    if (text === undefined) rmSync(file)
    else write('seed.mjs', text)
    await expect(take(file)).rejects.toThrow(message)
  })
})

test.each([
  ['a seed that is none', { seed: './seed.ts' }],
  ['a seed without a key', { seed: { apply: async () => {} } }],
  ['an unknown option', { seeds: false }],
])('%s is refused before a server is asked', async (_, options) => {
  await expect(take(undefined, options as never)).rejects.toMatchObject({ code: 'invalid-argument' })
})

describe('a migration that needs an extension', () => {
  const installed = "select extname from pg_extension where extname <> 'plpgsql' order by 1"

  test('has it where PostgreSQL trusts owners of databases with it', async () => {
    write('migrations/0002_words.sql', 'create extension pg_trgm;')
    expect(await ask(installed, await take())).toEqual([{ extname: 'pg_trgm' }])
  })

  test('says what to do where only an administrator may install it, and finds it there', async () => {
    write('migrations/0002_cache.sql', 'create extension if not exists pg_buffercache;')
    await expect(take()).rejects.toThrow(
      /^shop\.migrate\("0002_cache"\): .*privilege.*datastores: \{ shop: \{ extensions: \['…'\] \} \}/s,
    )
    expect(await ask(installed, await take(undefined, { extensions: ['pg_buffercache'] }))).toEqual([
      { extname: 'pg_buffercache' },
    ])
  })
})
