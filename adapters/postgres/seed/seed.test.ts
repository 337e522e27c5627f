/** Synthetic data on a real PostgreSQL: the database itself judges whether the rows fit. */
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectPortError } from '../../../contract-tests/expect.ts'
import { type FreshPlace, freshPostgres } from '../../../contract-tests/servers.ts'
import type { SeedOptions, SeedReport } from '../../../src/adapter.ts'
import { ServiceUrl } from '../../../src/services/url.ts'
import { postgres } from '../index.ts'
import { defineSeed } from './index.ts'
import { seed as fill } from './seeder.ts'

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

async function refused(seeding: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await expectPortError(seeding, 'precondition-failed', { outcome: 'not-applied' })
  expect(error.message).toMatch(message)
}

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

describe('foreign keys', () => {
  test('in a circle that allows no NULL are met by one statement', async () => {
    await ask(`
      CREATE TABLE a (id int PRIMARY KEY, b_id int NOT NULL, size int NOT NULL CHECK (size % 3 = 1));
      CREATE TABLE b (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, c_id text NOT NULL);
      CREATE TABLE c (id text PRIMARY KEY, a_id int NOT NULL REFERENCES a, parent text NOT NULL REFERENCES c);
      ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b;
      ALTER TABLE b ADD FOREIGN KEY (c_id) REFERENCES c`)
    const { digest } = await seed({ rows: 300 })
    for (const table of ['a', 'b', 'c']) expect(await count(table)).toBe(300)
    expect((await seed({ rows: 300, existing: 'replace' })).digest).toBe(digest)
    expect(await ask('INSERT INTO b (c_id) SELECT id FROM c LIMIT 1 RETURNING id')).toEqual([{ id: 301 }])
  })

  test('of a table to itself make trees', async () => {
    await ask('CREATE TABLE parts (id int PRIMARY KEY, part_of int REFERENCES parts)')
    await seed({ rows: 200 })
    const [found] = await ask(`
      WITH RECURSIVE tree AS (
        SELECT id FROM parts WHERE part_of IS NULL
        UNION ALL SELECT parts.id FROM parts JOIN tree ON parts.part_of = tree.id)
      SELECT count(*)::int AS reached, (SELECT count(*)::int FROM parts WHERE part_of IS NULL) AS roots FROM tree`)
    expect(found?.reached).toBe(200)
    expect(found?.roots).toBeLessThan(100)
  })

  test('that share a column agree on it', async () => {
    await ask(`
      CREATE TABLE tenants (id uuid PRIMARY KEY);
      CREATE TABLE users (tenant_id uuid REFERENCES tenants, id int, PRIMARY KEY (tenant_id, id));
      CREATE TABLE projects (tenant_id uuid REFERENCES tenants, id int, PRIMARY KEY (tenant_id, id));
      CREATE TABLE tasks (
        id bigserial PRIMARY KEY, tenant_id uuid NOT NULL REFERENCES tenants, user_id int, project_id int NOT NULL,
        FOREIGN KEY (tenant_id, user_id) REFERENCES users, FOREIGN KEY (tenant_id, project_id) REFERENCES projects)`)
    const { digest } = await seed({ rows: 80 })
    expect(await count('tasks')).toBe(80)
    expect(await ask('SELECT count(DISTINCT tenant_id) > 5 AS many FROM tasks')).toEqual([{ many: true }])
    expect((await seed({ rows: 80, existing: 'replace' })).digest).toBe(digest)
  })

  test('that must be unique pair off, and pairs of them make as many as there are', async () => {
    await ask(`
      CREATE TABLE users (id int PRIMARY KEY);
      CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users);
      CREATE TABLE roles (name text PRIMARY KEY CHECK (name IN ('admin', 'editor', 'reader')));
      CREATE TABLE grants (user_id int REFERENCES users, role text REFERENCES roles, PRIMARY KEY (user_id, role))`)
    const { tables } = await seed({ rows: 10, definition: defineSeed({ tables: { grants: { rows: 100 } } }) })
    expect(tables).toEqual([
      { name: 'grants', rows: 30, note: 'grants_pkey has room for no more' },
      { name: 'profiles', rows: 10 },
      { name: 'roles', rows: 3, note: 'roles_pkey has room for no more' },
      { name: 'users', rows: 10 },
    ])
    expect(await count('grants')).toBe(30)
  })

  test('to a key under a check that is not understood find the values that met it', async () => {
    await ask(`
      CREATE TABLE codes (code int PRIMARY KEY CHECK (code % 9 = 4));
      CREATE TABLE uses (id int PRIMARY KEY, code int NOT NULL REFERENCES codes)`)
    await seed({ rows: 50 })
    expect(await count('uses')).toBe(50)
  })
})

describe('what the schema asks for besides', () => {
  test('a key of a part of the rows leaves the rest alone', async () => {
    await ask(`
      CREATE TABLE flags (id int PRIMARY KEY, owner int NOT NULL CHECK (owner BETWEEN 1 AND 5), active boolean NOT NULL);
      CREATE UNIQUE INDEX one_active ON flags (owner) WHERE active`)
    expect((await seed({ rows: 60 })).tables).toEqual([{ name: 'flags', rows: 60 }])
    expect(await ask('SELECT count(*) FILTER (WHERE active) > 0 AS some FROM flags')).toEqual([
      { some: true },
    ])
  })

  test('partitions get the rows that belong to them', async () => {
    await ask(`
      CREATE TABLE events (id int, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE events_a PARTITION OF events FOR VALUES FROM ('2031-01-01') TO ('2031-02-01');
      CREATE TABLE events_b PARTITION OF events FOR VALUES FROM ('2031-02-01') TO ('2031-03-01')`)
    await seed({ rows: 40 })
    expect(await count('events')).toBe(40)
  })

  test('bookings do not overlap where an exclusion forbids it', async () => {
    await ask(`
      CREATE TABLE bookings (id serial PRIMARY KEY, during tstzrange NOT NULL, EXCLUDE USING gist (during WITH &&))`)
    await seed({ rows: 70 })
    expect(await count('bookings')).toBe(70)
  })

  test('names and texts of any kind arrive as they were made', async () => {
    await ask(
      `CREATE SCHEMA "Odd ""schema"; CREATE TABLE "Odd ""schema"."a\tb" ("Key" int PRIMARY KEY, "te""xt" text, bytes bytea)`,
    )
    const text = 'tab\t, line\n, \\N and "quotes" ☃'
    await seed({
      rows: 2,
      definition: defineSeed({
        tables: {
          'Odd "schema.a\tb': { columns: { 'te"xt': [text], bytes: () => new Uint8Array([0, 92, 255]) } },
        },
      }),
    })
    expect(
      await ask(`SELECT "te""xt" AS text, encode(bytes, 'hex') AS bytes FROM "Odd ""schema"."a\tb"`),
    ).toEqual([
      { text, bytes: '005cff' },
      { text, bytes: '005cff' },
    ])
  })

  test('a table that the database fills by itself is filled', async () => {
    await ask(
      `CREATE TABLE ticks (at timestamptz GENERATED ALWAYS AS ('2025-01-01 00:00:00+00'::timestamptz) STORED)`,
    )
    await seed({ rows: 3 })
    expect(await count('ticks')).toBe(3)
  })
})

describe('the seed file', () => {
  beforeEach(() =>
    ask(`CREATE TABLE events (id int PRIMARY KEY, name text NOT NULL, currency char(3) NOT NULL, price int NOT NULL,
      at timestamptz, doc jsonb, tags text[]);
      CREATE TABLE seats (event_id int NOT NULL REFERENCES events, label text)`),
  )

  test('says how many rows there are and how columns are filled', async () => {
    await seed({
      rows: 20,
      definition: defineSeed<{
        events: {
          id: number
          name: string
          currency: string
          price: number
          at: string
          doc: object
          tags: string[]
        }
        seats: { event_id: number }
      }>({
        tables: {
          events: {
            rows: 40,
            columns: {
              id: ({ row }) => 1000 + row,
              name: ({ faker, row, rows }) => `${faker.music.genre()} ${row + 1} of ${rows}`,
              currency: ['EUR', 'USD'],
              price: { min: 70_000, max: 70_009 },
              at: { min: '2030-05-01', max: '2030-05-02' },
              doc: () => ({ deep: [1] }),
              tags: [['a "b"', 'c,d']],
            },
          },
          seats: { columns: { event_id: () => 1003 } },
        },
      }),
    })
    const [events] =
      await ask(`SELECT count(*)::int AS count, min(id) AS first, min(price) >= 70000 AND max(price) <= 70009
      AND count(DISTINCT price) > 3 AS priced, bool_and(currency IN ('EUR', 'USD')) AS paid, bool_and(name LIKE '% of 40') AS named,
      min(at) >= '2030-05-01' AND max(at) <= '2030-05-02' AS timely, min(doc::text) AS doc, min(tags::text) AS tags FROM events`)
    expect(events).toEqual({
      ...{ count: 40, first: 1000, priced: true, paid: true, named: true, timely: true },
      ...{ doc: '{"deep": [1]}', tags: '{"a \\"b\\"","c,d"}' },
    })
    expect(await ask('SELECT DISTINCT event_id FROM seats')).toEqual([{ event_id: 1003 }])
  })

  test.each([
    [{ tables: { nothing: {} } }, /a table "nothing" that there is not/],
    [{ tables: { events: { columns: { nothing: [1] } } } }, /a column "events.nothing" that there is not/],
    [{ tables: { events: false } }, /seats: its foreign key seats_event_id_fkey needs rows of events/],
    [
      { tables: { events: { columns: { name: { min: 1 } } } } },
      /events.name is to be between ends that are no numbers/,
    ],
  ] as const)(
    'that does not fit the schema is told before anything is written: %j',
    async (definition, message) => {
      await refused(seed({ definition }), message)
      expect(await count('events')).toBe(0)
    },
  )
})

describe('what cannot be met', () => {
  test('is told all at once, and nothing is written', async () => {
    await ask(`
      CREATE TYPE pair AS (a int, b int);
      CREATE TABLE fine (id int PRIMARY KEY);
      CREATE TABLE odd (id int PRIMARY KEY, p pair NOT NULL);
      CREATE TABLE impossible (id int PRIMARY KEY, n int CHECK (n > 5 AND n < 3) NOT NULL)`)
    const error = await seed({ rows: 5 }).catch((caught: Error) => caught)
    expect(String(error)).toMatch(/odd\.p is of the type pair, of which no value is known/)
    expect(String(error)).toMatch(/impossible\.n is under checks that no value meets/)
    expect(await count('fine')).toBe(0)
  })

  test('is found by trying, where a check is not understood', async () => {
    await ask(`
      CREATE TABLE fine (id int PRIMARY KEY);
      CREATE TABLE hard (id int PRIMARY KEY, word text NOT NULL CHECK (md5(word) LIKE '00000%'), n int CHECK (n * n < 0 OR n > 0))`)
    await refused(
      seed({ rows: 5 }),
      /hard: 5 of 5 rows do not meet hard_word_check \(.*md5.*\) in 100 tries each; say in the seed file how to fill word/s,
    )
    expect(await count('fine')).toBe(0)
  })

  test('for a few rows that nothing refers to leaves those out, and says so', async () => {
    await ask(`
      CREATE TABLE users (id int PRIMARY KEY);
      CREATE TABLE friends (a int REFERENCES users, b int REFERENCES users, PRIMARY KEY (a, b), CHECK (a < b))`)
    const { tables, digest } = await seed({ rows: 60 })
    const [friends] = tables
    expect(friends?.rows).toBeLessThan(60)
    expect(friends?.rows).toBeGreaterThanOrEqual(45)
    expect(friends?.note).toBe(
      `for ${60 - (friends?.rows ?? 0)} more nothing was found that meets friends_check`,
    )
    expect(await count('friends')).toBe(friends?.rows)
    const rows = await dump('friends')
    expect((await seed({ rows: 60, existing: 'replace' })).digest).toBe(digest)
    expect(await dump('friends')).toEqual(rows)
    // Not where they may be referred to.
    await ask('CREATE TABLE gifts (a int NOT NULL, b int NOT NULL, FOREIGN KEY (a, b) REFERENCES friends)')
    await refused(
      seed({ rows: 60, existing: 'replace' }),
      /friends: \d+ of 60 rows do not meet friends_check/,
    )
    expect(await dump('friends')).toEqual(rows)
  })

  test('and is refused by the database leaves nothing behind', async () => {
    await ask(`
      CREATE TABLE first (id int PRIMARY KEY);
      CREATE TABLE second (id int PRIMARY KEY);
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON second FOR EACH ROW EXECUTE FUNCTION refuse()`)
    await expect(seed({ rows: 5 })).rejects.toThrow(/nothing of the seed stays/)
    expect(await count('first')).toBe(0)
  })
})

describe('a database that has rows', () => {
  beforeEach(() =>
    ask(`CREATE TABLE kinds (name text PRIMARY KEY); INSERT INTO kinds VALUES ('one'), ('two');
      CREATE TABLE things (id int PRIMARY KEY, kind text NOT NULL REFERENCES kinds)`),
  )

  test('is refused, and says where', async () => {
    await refused(seed(), /has rows in kinds/)
    expect(await count('things')).toBe(0)
  })

  test('keeps them where that is asked for, and is referred to', async () => {
    expect((await seed({ rows: 30, existing: 'keep' })).tables).toEqual([
      { name: 'kinds', rows: 0, note: 'kept as it was' },
      { name: 'things', rows: 30 },
    ])
    expect(await dump('kinds')).toEqual(['(one)', '(two)'])
    expect(await ask('SELECT DISTINCT kind FROM things ORDER BY 1')).toEqual([
      { kind: 'one' },
      { kind: 'two' },
    ])
  })

  test('loses them where that is asked for', async () => {
    await seed({ rows: 30, existing: 'replace' })
    expect(await count('kinds')).toBe(30)
    expect(await ask(`SELECT FROM kinds WHERE name = 'one'`)).toEqual([])
  })

  test('and is seeded by two at once is filled by one of them', async () => {
    await ask('DELETE FROM kinds')
    const results = await Promise.allSettled([seed({ rows: 30 }), seed({ rows: 30 })])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await count('things')).toBe(30)
  })
})

test('a seed that is stopped leaves nothing behind, and the next one begins', async () => {
  await ask('CREATE TABLE a (id int PRIMARY KEY, name text)')
  const stop = new AbortController()
  const stopped = seed({ rows: 1_000_000, signal: stop.signal, onProgress: () => stop.abort() })
  await expectPortError(stopped, 'cancelled', { outcome: 'not-applied' })
  await expect.poll(() => count('a')).toBe(0)
  await seed({ rows: 3 })
  expect(await count('a')).toBe(3)
})

test('progress counts up to all rows', async () => {
  await ask(
    'CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, n int CHECK (n % 2 = 0))',
  )
  const seen: number[] = []
  await seed({ rows: 40, onProgress: ({ done, total }) => seen.push(done / total) })
  expect(seen.at(-1)).toBe(1)
  expect(seen).toEqual(seen.toSorted((a, b) => a - b))
})
