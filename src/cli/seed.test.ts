/** `portside seed` as a program of its own, on a real PostgreSQL. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FreshPlace, freshPostgres } from '../../contract-tests/servers.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const main = pathOf('./main.ts')
const declaration = pathOf('./fixtures/seed/services.ts')

let place: FreshPlace
beforeAll(async () => {
  place = await freshPostgres()
})
afterAll(() => place.drop())
beforeEach(() =>
  ask('DROP TABLE IF EXISTS orders; CREATE TABLE orders (id serial PRIMARY KEY, note text NOT NULL)'),
)

async function ask(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: place.url })
  await client.connect()
  try {
    return (await client.query(text)).rows as Record<string, unknown>[]
  } finally {
    await client.end()
  }
}

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function seed(...args: readonly string[]): Promise<Ended> {
  const env = {
    ...process.env,
    ORDERS_URL: place.url,
    DRAFTS_URL: place.url,
    ARCHIVE_URL: place.url,
    SESSIONS_URL: 'redis://127.0.0.1:1/0',
  }
  return promisify(execFile)(process.execPath, [main, 'seed', ...args, '--services', declaration], {
    env,
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (failed: Ended) => failed,
  )
}

describe('portside seed', () => {
  test('fills the database of a service, the same way each time, and tells what it did', async () => {
    const { code, stdout, stderr } = await seed('orders', '--rows', '30', '--seed', '7')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'orders  30 rows\n' })
    expect(stderr).toMatch(
      /100 %: 30 of 30 rows, orders\n.*orders: 30 rows in \d+\.\d s, digest [0-9a-f]{16}/,
    )
    const rows = await ask('SELECT * FROM orders ORDER BY id')
    expect(rows).toHaveLength(30)
    const again = await seed('orders', '--rows', '30', '--seed', '7', '--existing', 'replace')
    expect(again.code).toBe(0)
    expect(await ask('SELECT * FROM orders ORDER BY id')).toEqual(rows)
  })

  test('fills columns as the seed file says', async () => {
    expect((await seed('orders', '--file', pathOf('./fixtures/seed/seed.ts'))).code).toBe(0)
    expect(await ask('SELECT note, count(*)::int AS count FROM orders GROUP BY note')).toEqual([
      { note: 'by hand', count: 5 },
    ])
  })

  test('does as the declaration says, where the flags do not', async () => {
    await ask('DROP TABLE IF EXISTS others; CREATE TABLE others (id serial PRIMARY KEY, note text NOT NULL)')
    try {
      const { code, stdout } = await seed('drafts')
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'orders  5 rows\nothers  7 rows\n' })
      const rows = await ask('SELECT * FROM others ORDER BY id')
      // The same as with the declared seed's number, and not as with another.
      const again = (...flags: string[]) => seed('drafts', '--existing', 'replace', ...flags)
      expect((await again('--seed', '3')).code).toBe(0)
      expect(await ask('SELECT * FROM others ORDER BY id')).toEqual(rows)
      expect((await again('--seed', '4', '--rows', '2')).stdout).toBe('orders  5 rows\nothers  2 rows\n')
      expect(await ask('SELECT * FROM others ORDER BY id')).not.toEqual(rows.slice(0, 2))
      expect((await again('--file', pathOf('./fixtures/seed/more.ts'))).stdout).toBe(
        'orders  7 rows\nothers  1 rows\n',
      )
    } finally {
      await ask('DROP TABLE others')
    }
  })

  test('does nothing to a database that has rows', async () => {
    await ask("INSERT INTO orders (note) VALUES ('mine')")
    const { code, stderr } = await seed('orders')
    expect(code).toBe(1)
    expect(stderr).toMatch(/has rows in orders; nothing was written; --existing keep/)
    expect(await ask('SELECT note FROM orders')).toEqual([{ note: 'mine' }])
  })

  test('does nothing to a server of another version than the pinned one', async () => {
    const { code, stderr } = await seed('archive')
    expect(code).toBe(1)
    expect(stderr).toMatch(/17\.9/)
    expect(await ask('SELECT FROM orders')).toEqual([])
  })

  test.each([
    [[], /needs the name of a service/],
    [['stock'], /there is no service "stock"; there are orders, drafts, archive, sessions/],
    [['sessions'], /"sessions" has no schema to make rows for/],
    [['orders', '--rows', 'many'], /--rows is a whole number/],
    [['orders', '--existing', 'append'], /--existing is refuse, keep or replace/],
    [['orders', '--file', 'nowhere.ts'], /there is no .*nowhere\.ts/],
    [['orders', '--file', declaration], /has no default export/],
  ] as const)('%j is wrong usage', async (args, message) => {
    const { code, stderr } = await seed(...args)
    expect({ code, message: message.test(stderr) ? '' : stderr }).toEqual({ code: 2, message: '' })
  })
})
