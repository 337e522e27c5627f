/** Synthetic data on a real PostgreSQL: the database itself judges whether the rows fit. */
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectPortError } from '../../../contract-tests/expect.ts'
import { type FreshPlace, freshPostgres } from '../../../contract-tests/servers.ts'
import type { SeedOptions, SeedReport } from '../../../src/adapter.ts'
import { ServiceUrl } from '../../../src/services/url.ts'
import { postgres } from '../index.ts'
import { defineSeed } from './index.ts'
import { seed as fill, seedHash } from './seeder.ts'

let place: FreshPlace
beforeEach(async () => {
  place = await freshPostgres()
})
afterEach(() => place.drop())

function urlOf(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

const seed = (options: SeedOptions = {}): Promise<SeedReport> => fill(urlOf(place.url), options)

async function ask<Row = Record<string, unknown>>(text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: place.url })
  await client.connect()
  try {
    const { rows } = await client.query(text)
    return rows as Row[]
  } finally {
    await client.end()
  }
}

/** All rows of a table, as the database writes them, in the order of their bytes. */
async function dump(table: string): Promise<string[]> {
  return (await ask<{ row: string }>(`SELECT t::text AS row FROM ${table} t`)).map(({ row }) => row).sort()
}

const count = async (table: string): Promise<number> =>
  (await ask<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`))[0]?.count ?? -1

describe('a schema with most of what there is', () => {
  beforeEach(async () => {
    await ask(`
      CREATE TYPE status AS ENUM ('draft', 'open', 'closed');
      CREATE DOMAIN currency AS char(3) CHECK (VALUE ~ '^[A-Z]{3}$');
      CREATE DOMAIN odd AS int NOT NULL CHECK (VALUE % 2 = 1);
      CREATE TABLE customers (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        email varchar(60) NOT NULL UNIQUE CHECK (email LIKE '%@%'),
        name text NOT NULL CHECK (btrim(name) <> ''),
        referred_by bigint REFERENCES customers,
        lucky odd,
        tags text[] NOT NULL, profile jsonb NOT NULL, seen inet, active boolean NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
      );
      CREATE TABLE products (
        sku char(8) PRIMARY KEY,
        price numeric(8, 2) NOT NULL CHECK (price > 0),
        was numeric(8, 2) CHECK (was >= price),
        currency currency NOT NULL,
        gross numeric GENERATED ALWAYS AS (price * 1.2) STORED,
        sold daterange
      );
      CREATE TABLE orders (
        id uuid PRIMARY KEY,
        number serial UNIQUE,
        customer_id bigint NOT NULL REFERENCES customers,
        status status NOT NULL,
        starts_at timestamp NOT NULL,
        ends_at timestamp NOT NULL,
        note varchar(12),
        CHECK (ends_at > starts_at),
        CHECK ((status = 'closed') OR note IS NOT NULL)
      );
      CREATE TABLE lines (
        order_id uuid REFERENCES orders,
        line_no smallint CHECK (line_no BETWEEN 1 AND 99),
        sku char(8) NOT NULL REFERENCES products,
        quantity int NOT NULL CHECK (quantity BETWEEN 1 AND 12),
        PRIMARY KEY (order_id, line_no)
      );
      CREATE TABLE statuses (status status PRIMARY KEY, label text NOT NULL);
      CREATE UNIQUE INDEX one_lower_email ON customers (lower(email));`)
  })

  test('is filled with rows that meet all of it', async () => {
    const report = await seed({ rows: 500, seed: 7 })
    expect(report.tables).toEqual([
      { name: 'customers', rows: 500 },
      { name: 'lines', rows: 500 },
      { name: 'orders', rows: 500 },
      { name: 'products', rows: 500 },
      { name: 'statuses', rows: 3, note: 'statuses_pkey has room for no more' },
    ])
    for (const { name, rows } of report.tables) expect(await count(name)).toBe(rows)
  })

  test('goes on counting where the rows end', async () => {
    await seed({ rows: 50 })
    const [customer] = await ask(
      `INSERT INTO customers (email, name, lucky, tags, profile, active)
        VALUES ('a@b.example', 'a', 1, '{}', '{}', true) RETURNING id::int`,
    )
    expect(customer).toEqual({ id: 51 })
    const [order] = await ask(
      `INSERT INTO orders (id, customer_id, status, starts_at, ends_at)
        VALUES (gen_random_uuid(), 1, 'closed', '2025-01-01', '2025-01-02') RETURNING number`,
    )
    expect(order).toEqual({ number: 51 })
  })

  test('is filled the same way by the same seed, and another way by another', async () => {
    const first = await seed({ rows: 120, seed: 7 })
    const rows = {
      customers: await dump('customers'),
      lines: await dump('lines'),
      orders: await dump('orders'),
    }
    const again = await seed({ rows: 120, seed: 7, existing: 'replace' })
    expect(again.digest).toBe(first.digest)
    expect({
      customers: await dump('customers'),
      lines: await dump('lines'),
      orders: await dump('orders'),
    }).toEqual(rows)
    const other = await seed({ rows: 120, seed: 8, existing: 'replace' })
    expect(other.digest).not.toBe(first.digest)
  })

  test('has other rows of a table not changed by one more table', async () => {
    await seed({ rows: 30 })
    const before = await dump('orders')
    await ask('CREATE TABLE a_first (id int PRIMARY KEY, note text)')
    await seed({ rows: 30, existing: 'replace' })
    expect(await dump('orders')).toEqual(before)
  })
})
