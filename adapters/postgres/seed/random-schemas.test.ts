/** Whatever the schema, within what is promised: the database takes every row, and the next one that an app inserts. */
import fc from 'fast-check'
import pg from 'pg'
import { expect, test } from 'vitest'
import { freshPostgres } from '../../../contract-tests/servers.ts'
import { ServiceUrl } from '../../../src/services/url.ts'
import { postgres } from '../index.ts'
import { seed } from './seeder.ts'

/** A column that needs nothing of other tables; `%` is its own quoted name. */
const columnTypes = [
  'int',
  'smallint',
  'bigint',
  'numeric(6,2)',
  'numeric',
  'real',
  'double precision',
  'text',
  'varchar(12)',
  'varchar(3)',
  'char(4)',
  'boolean',
  'date',
  'timestamptz',
  'timestamp',
  'time',
  'uuid',
  'json',
  'jsonb',
  'bytea',
  'inet',
  'interval',
  'mood',
  'mood[]',
  'int[]',
  'varchar(5)[]',
  'numrange',
  'daterange',
  'tstzmultirange',
  'even',
  'code',
  'positive',
  'int CHECK (% BETWEEN 10 AND 5000)',
  'int CHECK (% % 7 = 3)',
  "text CHECK (% ~ '^[A-Z]{2}-[0-9]{3,5}$')",
  "text CHECK (% LIKE 'a%z' AND length(%) > 2)",
  "text CHECK (% IN ('red', 'green', 'blue'))",
  'text CHECK (length(%) BETWEEN 3 AND 8)',
  "date CHECK (% >= '2030-01-01')",
  "timestamptz CHECK (% > '2024-02-01 10:00:00+00' AND % < '2024-03-01 10:00:00+00')",
  'numeric(8,3) CHECK (% > 0.5 AND % < 1.5)',
  'text CHECK (% = upper(%))',
  "jsonb CHECK (jsonb_typeof(%) = 'object')",
] as const

const names = [
  'name',
  'email',
  'code',
  'price',
  'created_at',
  'Order',
  'état',
  'kind',
  'value',
  'rank',
] as const

interface ColumnPlan {
  readonly type: string
  readonly name: string
  readonly notNull: boolean
  readonly unique: boolean
}

const column: fc.Arbitrary<ColumnPlan> = fc.record({
  type: fc.constantFrom(...columnTypes),
  name: fc.constantFrom(...names),
  notNull: fc.boolean(),
  unique: fc.boolean(),
})

const tableArbitrary = fc.record({
  key: fc.constantFrom(
    'int GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT BY 5)',
    'bigserial',
    'uuid',
    'text',
    'int',
    'uuid DEFAULT gen_random_uuid()',
  ),
  columns: fc.uniqueArray(column, { selector: ({ name }) => name, maxLength: 6 }),
  pairs: fc.boolean(),
  ordered: fc.boolean(),
  generated: fc.boolean(),
  partial: fc.boolean(),
  exclusion: fc.boolean(),
  /** Rows of a tenant, below each other. */
  tree: fc.boolean(),
  /** Tables, itself and later ones among them, that it refers to. */
  references: fc.array(
    fc.record({
      to: fc.nat(4),
      notNull: fc.boolean(),
      unique: fc.boolean(),
      inKey: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
})

type TablePlan = typeof tableArbitrary extends fc.Arbitrary<infer T> ? T : never

const quote = (name: string): string => `"${name}"`

function create(tables: readonly TablePlan[]): string {
  const statements = [
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    'CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0)',
    "CREATE DOMAIN code AS varchar(8) CHECK (VALUE ~ '^[a-z]+[0-9]*$')",
    'CREATE DOMAIN positive AS numeric(10,2) NOT NULL DEFAULT 1 CHECK (VALUE > 0)',
  ]
  for (const [index, table] of tables.entries()) {
    const own = table.columns.map(({ type, name, notNull, unique }) => {
      const definition = type.replaceAll('%', (sign, at: number) =>
        // A percent sign within a pattern or as an operator between spaces and a number stays.
        /^% \d/.test(type.slice(at)) || /[a-z]%|%[a-z]/.test(type.slice(at - 1, at + 2)) ? sign : quote(name),
      )
      const comparable = !/^(json( |$)|jsonb|json$)/.test(type)
      return `${quote(name)} ${definition}${notNull ? ' NOT NULL' : ''}${unique && comparable ? ' UNIQUE' : ''}`
    })
    const lines = [`id ${table.key} PRIMARY KEY`, ...own]
    if (table.pairs)
      lines.push('a int NOT NULL', 'b mood NOT NULL', 'c text', 'UNIQUE (a, b)', 'UNIQUE (b, c)')
    if (table.ordered)
      lines.push(
        'from_day date NOT NULL',
        'to_day date',
        'low int',
        'high int',
        'CHECK (from_day < to_day)',
        'CHECK (low <= high)',
      )
    if (table.generated)
      lines.push(
        'base int NOT NULL',
        'twice int GENERATED ALWAYS AS (base % 100 * 2) STORED',
        'CHECK (twice >= 0)',
      )
    if (table.partial)
      lines.push('active boolean NOT NULL', 'owner int NOT NULL CHECK (owner BETWEEN 1 AND 4)')
    if (table.exclusion) lines.push('during tsrange NOT NULL', 'EXCLUDE USING gist (during WITH &&)')
    if (table.tree)
      lines.push(
        'tenant smallint NOT NULL CHECK (tenant BETWEEN 1 AND 3)',
        'local int NOT NULL',
        'up int',
        'UNIQUE (tenant, local)',
        `FOREIGN KEY (tenant, up) REFERENCES t${index} (tenant, local)`,
      )
    statements.push(`CREATE TABLE t${index} (${lines.join(', ')})`)
    if (table.partial) statements.push(`CREATE UNIQUE INDEX ON t${index} (owner) WHERE active`)
  }
  for (const [index, table] of tables.entries()) {
    for (const [number, { to, notNull, unique, inKey }] of table.references.entries()) {
      const target = to % tables.length
      const type = (tables[target]?.key ?? '').startsWith('uuid')
        ? 'uuid'
        : (tables[target]?.key ?? '') === 'text'
          ? 'text'
          : 'bigint'
      const name = `r${number}`
      // A foreign key's types must be comparable: bigint refers to int and bigint alike.
      statements.push(
        `ALTER TABLE t${index} ADD ${name} ${type} REFERENCES t${target}${notNull ? '' : ''}`,
        ...(notNull ? [`ALTER TABLE t${index} ALTER ${name} SET NOT NULL`] : []),
        ...(unique ? [`ALTER TABLE t${index} ADD UNIQUE (${name})`] : []),
        ...(inKey
          ? [
              `ALTER TABLE t${index} ADD line_${number} smallint NOT NULL, ADD UNIQUE (${name}, line_${number})`,
            ]
          : []),
      )
    }
  }
  return statements.join(';\n')
}

test('every schema of what is promised is filled', { timeout: 600_000 }, async () => {
  let tables = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(tableArbitrary, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 60 }),
      fc.nat(),
      async (plans, rows, number) => {
        const place = await freshPostgres()
        const client = new pg.Client({ connectionString: place.url })
        try {
          await client.connect()
          const schema = create(plans)
          await client.query(schema).catch((error: unknown) => {
            throw new Error(`the test's own schema is wrong: ${error}\n${schema}`)
          })
          const parsed = ServiceUrl.parse(place.url, postgres.parameters)
          if (!('url' in parsed)) throw new Error('bad URL')
          const first = await seed(parsed.url, { rows, seed: number }).catch((error: unknown) => {
            throw new Error(`${error}\n${schema}`)
          })
          for (const { name, rows: written, note } of first.tables) {
            const { rows: counted } = await client.query(`SELECT count(*)::int AS count FROM ${name}`)
            expect(counted[0].count).toBe(written)
            // Fewer only with a reason, and then not none.
            if (note === undefined) expect(written).toBe(rows)
            else expect(written).toBeGreaterThan(0)
            tables += 1
          }
          const second = await seed(parsed.url, { rows, seed: number, existing: 'replace' })
          expect(second.digest).toBe(first.digest)
        } finally {
          await client.end()
          await place.drop()
        }
      },
    ),
    { numRuns: Number(process.env.PORTSIDE_RUNS ?? 12) },
  )
  expect(tables).toBeGreaterThan(12)
})
