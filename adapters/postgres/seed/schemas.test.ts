/** Which schemas are filled, and what is said of those that are not. PostgreSQL judges the rows. */
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { expectPortError } from '../../../contract-tests/expect.ts'
import { type FreshPlace, freshPostgres } from '../../../contract-tests/servers.ts'
import type { SeedOptions, SeedReport } from '../../../src/adapter.ts'
import { ServiceUrl } from '../../../src/services/url.ts'
import { postgres } from '../index.ts'
import { seed as fill } from './seeder.ts'

let place: FreshPlace
beforeEach(async () => {
  place = await freshPostgres()
})
afterEach(() => place.drop())

function seed(options: SeedOptions, url: string = place.url): Promise<SeedReport> {
  const parsed = ServiceUrl.parse(url, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return fill(parsed.url, options)
}

async function ask(text: string, url: string = place.url): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows as Record<string, unknown>[]
  } finally {
    await client.end()
  }
}

/** What a dump of the data holds: each row as it is written, in the order in which it lies there, and what is counted by. */
async function dump(url: string = place.url): Promise<string[]> {
  const relations = await ask(
    `SELECT c.oid::regclass::text AS name, relkind::text AS kind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'S') AND nspname !~ '^pg_|^information_schema$' ORDER BY 1`,
    url,
  )
  const lines: string[] = []
  for (const { name, kind } of relations) {
    const rows =
      kind === 'S'
        ? await ask(`SELECT last_value::text AS line FROM ${name}`, url)
        : await ask(`SELECT t::text AS line FROM ONLY ${name} t`, url)
    lines.push(`-- ${name}`, ...rows.map(({ line }) => String(line)))
  }
  return lines
}

const bookings = 'during tstzrange NOT NULL, EXCLUDE USING gist (room WITH =, during WITH &&)'

describe('filled, and the same way each time, is', () => {
  test.each([
    [
      'a circle of foreign keys that are deferred',
      `CREATE TABLE a (id int PRIMARY KEY, b_id int NOT NULL);
       CREATE TABLE b (id int PRIMARY KEY, a_id int NOT NULL REFERENCES a DEFERRABLE INITIALLY DEFERRED);
       ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b DEFERRABLE INITIALLY DEFERRED`,
      { a: 40, b: 40 },
    ],
    [
      'a foreign key of several columns that is whole or absent',
      `CREATE TABLE a (x int, y text, PRIMARY KEY (x, y));
       CREATE TABLE b (id int PRIMARY KEY, x int, y text, FOREIGN KEY (x, y) REFERENCES a MATCH FULL)`,
      { a: 40, b: 40 },
    ],
    [
      'what refers to columns that may be NULL elsewhere',
      `CREATE TABLE a (id int PRIMARY KEY, x int, y int, phone text UNIQUE, UNIQUE (x, y));
       CREATE TABLE b (id int PRIMARY KEY, x int NOT NULL, y int NOT NULL, phone text NOT NULL REFERENCES a (phone),
         FOREIGN KEY (x, y) REFERENCES a (x, y))`,
      { a: 100, b: 100 },
    ],
    [
      'a tree within each tenant',
      `CREATE TABLE tenants (id uuid PRIMARY KEY);
       CREATE TABLE users (tenant uuid REFERENCES tenants, id int, PRIMARY KEY (tenant, id));
       CREATE TABLE nodes (tenant uuid NOT NULL REFERENCES tenants, id bigint GENERATED ALWAYS AS IDENTITY,
         author int NOT NULL, parent bigint, previous bigint, PRIMARY KEY (tenant, id),
         FOREIGN KEY (tenant, author) REFERENCES users, FOREIGN KEY (tenant, parent) REFERENCES nodes,
         FOREIGN KEY (tenant, previous) REFERENCES nodes);
       CREATE TABLE likes (tenant uuid, node bigint, liker int, PRIMARY KEY (tenant, node, liker),
         FOREIGN KEY (tenant, node) REFERENCES nodes, FOREIGN KEY (tenant, liker) REFERENCES users)`,
      { likes: 80, nodes: 80, tenants: 80, users: 80 },
      `SELECT count(parent) > 10 AND count(previous) > 10 AND count(DISTINCT tenant) > 3 AND bool_and(parent < id) AS good FROM nodes`,
    ],
    [
      'a row that must have a parent of its own tenant',
      `CREATE TABLE nodes (tenant int, id int, parent int NOT NULL, odd int NOT NULL CHECK (odd % 3 = 1),
         PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, parent) REFERENCES nodes)`,
      { nodes: 60 },
    ],
    [
      'a self-reference that must be, and one that must be unique',
      `CREATE TABLE a (id int PRIMARY KEY, parent int NOT NULL REFERENCES a, next int NOT NULL UNIQUE REFERENCES a,
         FOREIGN KEY (id) REFERENCES a)`,
      { a: 60 },
    ],
    [
      'a table that is inherited from',
      'CREATE TABLE a (id int PRIMARY KEY, n text); CREATE TABLE b (extra int NOT NULL) INHERITS (a)',
      { a: 20, b: 20 },
    ],
    [
      'partitions of partitions, by list, range and hash',
      `CREATE TABLE e (id int, at date NOT NULL, kind text NOT NULL, PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
       CREATE TABLE e_old PARTITION OF e FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
       CREATE TABLE e_old_a PARTITION OF e_old FOR VALUES IN ('a', 'b');
       CREATE TABLE e_new (kind text NOT NULL, at date NOT NULL, id int NOT NULL) PARTITION BY HASH (id);
       ALTER TABLE e ATTACH PARTITION e_new FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
       CREATE TABLE e_new_0 PARTITION OF e_new FOR VALUES WITH (MODULUS 2, REMAINDER 0)`,
      { e: 40 },
      'SELECT count(*) FILTER (WHERE tableoid = $$e_old_a$$::regclass) BETWEEN 1 AND 39 AS good FROM e',
    ],
    [
      'what refers to a partitioned table',
      `CREATE TABLE e (id bigserial, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
       CREATE TABLE e_all PARTITION OF e DEFAULT;
       CREATE TABLE f (id int PRIMARY KEY, e_id bigint NOT NULL, e_at date NOT NULL, FOREIGN KEY (e_id, e_at) REFERENCES e)`,
      { e: 30, f: 30 },
    ],
    [
      'bookings of rooms that do not overlap in one room',
      `CREATE EXTENSION btree_gist; CREATE TABLE rooms (id int PRIMARY KEY);
       CREATE TABLE bookings (id serial PRIMARY KEY, room int NOT NULL REFERENCES rooms, ${bookings})`,
      { bookings: 60, rooms: 60 },
    ],
    [
      'a key in which NULLs are equal',
      'CREATE TABLE a (id int PRIMARY KEY, code int, kind text, UNIQUE NULLS NOT DISTINCT (code, kind))',
      { a: 60 },
    ],
    [
      'a key over what the database generates',
      `CREATE TABLE a (id int PRIMARY KEY, name text NOT NULL, doc jsonb NOT NULL,
         slug text GENERATED ALWAYS AS (lower(name)) STORED UNIQUE,
         number text GENERATED ALWAYS AS (doc ->> 'id') STORED UNIQUE)`,
      { a: 300 },
    ],
    [
      'identities that count downwards, and two tables that count by one sequence',
      `CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY (START -5 INCREMENT -2 MINVALUE -900 MAXVALUE -1) PRIMARY KEY);
       CREATE SEQUENCE s CACHE 20; CREATE TABLE b (id bigint PRIMARY KEY DEFAULT nextval('s'));
       CREATE TABLE c (id bigint PRIMARY KEY DEFAULT nextval('s'))`,
      { a: 20, b: 20, c: 20 },
      `WITH x AS (INSERT INTO a DEFAULT VALUES RETURNING id), y AS (INSERT INTO b DEFAULT VALUES RETURNING id)
       SELECT x.id = -45 AND y.id > 20 AS good FROM x, y`,
    ],
    [
      'domains, of domains and of arrays',
      `CREATE DOMAIN word AS text CHECK (length(VALUE) > 3); CREATE DOMAIN lower_word AS word CHECK (VALUE ~ '^[a-z]+$');
       CREATE DOMAIN tags AS text[] CHECK (cardinality(VALUE) BETWEEN 1 AND 2);
       CREATE TABLE a (id lower_word PRIMARY KEY, t tags NOT NULL,
         code text NOT NULL UNIQUE CHECK (code ~ '^[A-Z0-9]+$'), CHECK (length(code) BETWEEN 6 AND 8))`,
      { a: 40 },
    ],
    [
      'checks over several columns',
      `CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY);
       CREATE TABLE a (id int PRIMARY KEY, x int NOT NULL, y int NOT NULL, p int REFERENCES p, q int REFERENCES q,
         kind text NOT NULL CHECK (kind IN ('person', 'firm')), firm text, CHECK (x + y < 100), CHECK (x > y),
         CHECK ((p IS NULL) <> (q IS NULL)), CHECK (CASE WHEN kind = 'firm' THEN firm IS NOT NULL ELSE firm IS NULL END))`,
      { a: 40, p: 40, q: 40 },
    ],
    [
      'checks of arrays, ranges and texts in any case',
      `CREATE TABLE a (id int PRIMARY KEY, t text[] NOT NULL CHECK (cardinality(t) > 0), u int[] CHECK (0 < ALL (u)),
         r int4range NOT NULL CHECK (NOT isempty(r) AND lower(r) >= 0), c text NOT NULL CHECK (c ~* '^[a-f]{4}$'),
         d text NOT NULL CHECK (d NOT LIKE '%a%' AND d !~ '[0-9]'))`,
      { a: 40 },
    ],
    [
      'every type that the server has on its own',
      `CREATE TABLE a (id int PRIMARY KEY, i inet NOT NULL, c cidr NOT NULL, m macaddr NOT NULL, m8 macaddr8 NOT NULL,
         b bit(5) NOT NULL, vb varbit(7) NOT NULL, mo money NOT NULL, tv tsvector NOT NULL, tq tsquery NOT NULL,
         pt point NOT NULL, bx box NOT NULL, ln line NOT NULL, ls lseg NOT NULL, pa path NOT NULL, po polygon NOT NULL,
         ci circle NOT NULL, iv interval NOT NULL, tz timetz NOT NULL, x xml NOT NULL, o oid NOT NULL, l pg_lsn NOT NULL,
         nm name NOT NULL, jp jsonpath NOT NULL, by bytea NOT NULL, j json NOT NULL, r int8multirange NOT NULL)`,
      { a: 30 },
    ],
    [
      'shapes that do not touch',
      `CREATE TABLE a (id int PRIMARY KEY, c circle NOT NULL, EXCLUDE USING gist (c WITH &&));
       CREATE TABLE b (id int PRIMARY KEY, c box NOT NULL, EXCLUDE USING gist (c WITH &&))`,
      { a: 30, b: 30 },
    ],
    [
      'types of extensions',
      `CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree;
       CREATE TABLE a (id int PRIMARY KEY, h hstore NOT NULL, c citext NOT NULL UNIQUE, l ltree NOT NULL)`,
      { a: 40 },
    ],
    [
      'a key by day or by a part of it, where the values leave it to',
      `CREATE TABLE a (id int PRIMARY KEY, email text NOT NULL, gone timestamptz);
       CREATE UNIQUE INDEX ON a (lower(email)) WHERE gone IS NULL; CREATE UNIQUE INDEX ON a (coalesce(id, -1))`,
      { a: 300 },
    ],
  ] as [string, string, Readonly<Record<string, number>>, string?][])(
    '%s',
    async (_, schema, expected, more) => {
      await ask(schema)
      const rows = Math.max(...Object.values(expected))
      const { tables, digest } = await seed({ rows })
      expect(Object.fromEntries(tables.map(({ name, rows: written }) => [name, written]))).toEqual(expected)
      const first = await dump()
      expect((await seed({ rows, existing: 'replace' })).digest).toBe(digest)
      expect(await dump()).toEqual(first)
      if (more !== undefined) expect(await ask(more)).toEqual([{ good: true }])
    },
  )

  test('another database of the same schema', async () => {
    const schema = `CREATE TYPE mood AS ENUM ('sad', 'happy');
      CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, mood mood,
        boss bigint REFERENCES people, born date, tags text[], doc jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now(),
        key uuid NOT NULL DEFAULT gen_random_uuid(), chance float8 NOT NULL DEFAULT random(), CHECK (length(email) % 2 = 0));
      CREATE TABLE parts (id serial PRIMARY KEY, owner bigint NOT NULL REFERENCES people) PARTITION BY HASH (id);
      CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1)`
    const other = await freshPostgres()
    try {
      // What was there before, and is gone, is no matter.
      await ask('CREATE TABLE before (id serial PRIMARY KEY); DROP TABLE before')
      for (const { url } of [place, other]) {
        await ask(schema, url)
        await seed({ rows: 200, seed: 7 }, url)
      }
      expect(await dump(other.url)).toEqual(await dump())
      expect(await dump()).toHaveLength(400 + 7)
    } finally {
      await other.drop()
    }
  })
})

describe('not filled, with what and why, and what to write instead, is', () => {
  test.each<readonly [what: string, schema: string, message: RegExp]>([
    [
      'a partitioned table without partitions',
      'CREATE TABLE e (at date NOT NULL) PARTITION BY RANGE (at)',
      /- e has no partition, so no row has a place/,
    ],
    [
      'what is under row security for its owner too',
      'CREATE TABLE a (id int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY',
      /- a is under row security for this role/,
    ],
    [
      'a type that is composed',
      'CREATE TYPE pair AS (a int, b int); CREATE TABLE a (id int PRIMARY KEY, p pair NOT NULL)',
      /- a\.p is of the type pair, of which no value is known here: fill it in the seed file/,
    ],
    [
      'what its column is too small to refer to',
      `CREATE TABLE a (id bigint PRIMARY KEY CHECK (id > 100000)); CREATE SCHEMA s;
       CREATE TABLE s.b (id int PRIMARY KEY, a smallint NOT NULL REFERENCES a)`,
      /22003.*say in the seed file how to fill s\.b\.a$/,
    ],
    [
      'a check that cannot be worked out',
      'CREATE TABLE a (id int PRIMARY KEY, x int NOT NULL CHECK (x BETWEEN 0 AND 3), y int NOT NULL, CHECK (y / x < 100))',
      /a: its checks cannot be worked out on what is made for it \(SQLSTATE 22012\); say in the seed file how to fill x, y/,
    ],
    [
      'a key by day that the values do not keep to',
      "CREATE TABLE a (at timestamp NOT NULL); CREATE UNIQUE INDEX a_day ON a (date_trunc('day', at))",
      /"a_day".*say in the seed file how to fill a\.at$/,
    ],
    [
      'an exclusion over an expression',
      'CREATE TABLE a (f date NOT NULL, t date NOT NULL, CHECK (f < t), EXCLUDE USING gist (daterange(f, t) WITH &&))',
      /exclusion constraint.*say in the seed file how to fill a\.f, a\.t$/,
    ],
    [
      'what is generated from nothing that is known',
      `CREATE TABLE a (doc jsonb NOT NULL, n text GENERATED ALWAYS AS (doc ->> 'name') STORED NOT NULL)`,
      /column "n" of table "a".*say in the seed file how to fill a\.doc$/,
    ],
    [
      'keys that wait for each other',
      `CREATE TABLE org (id int PRIMARY KEY, owner int NOT NULL);
       CREATE TABLE member (id int PRIMARY KEY, org int NOT NULL REFERENCES org, UNIQUE (org, id));
       ALTER TABLE org ADD FOREIGN KEY (id, owner) REFERENCES member (org, id) DEFERRABLE INITIALLY DEFERRED`,
      /- member\.org, org\.id refer to each other and to nothing else: fill one of them in the seed file/,
    ],
  ])('%s', async (_, schema, message) => {
    await ask(`${schema}; CREATE TABLE z_other (id int PRIMARY KEY)`)
    const error = await seed({ rows: 40 }).catch((caught: unknown) => caught as Error)
    expect(error).toBeInstanceOf(Error)
    expect((error as Error).message).toMatch(message)
    expect(await ask('SELECT FROM z_other')).toEqual([])
  })

  test('what this role may not write', async () => {
    await ask('CREATE TABLE a (id int PRIMARY KEY)')
    await ask('REVOKE INSERT ON a FROM current_user')
    const error = await expectPortError(seed({ rows: 5 }), 'precondition-failed', { outcome: 'not-applied' })
    expect(error.message).toMatch(/- a is not to be read and written by this role: seed as its owner/)
  })

  test('never with a value of a row', async () => {
    await ask('CREATE TABLE a (id int PRIMARY KEY, n smallint NOT NULL)')
    const definition = { tables: { a: { columns: { n: () => 'canary' } } } }
    const error = await seed({ rows: 5, definition }).catch((caught: unknown) => caught as Error)
    expect((error as Error).message).toMatch(/say in the seed file how to fill a\.n$/)
    expect(JSON.stringify(error) + String((error as Error).cause)).not.toContain('canary')
  })
})
