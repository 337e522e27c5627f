/** The table that the behaviours work on, and what they all need. */
import assert from 'node:assert/strict'
import { sql } from '../../src/ports/sql.ts'
import type { SqlDatabase, SqlQueries } from '../../src/ports/sql-database.ts'
import { lent } from '../common/kit.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'

export type SqlBehaviour = Behaviour<SqlDatabase>
export type SqlContext = BehaviourContext<SqlDatabase>

/** An empty table `seats (id, owner, price)` with a constraint of every kind. */
export async function makeSeats(db: SqlQueries): Promise<void> {
  await db.execute(sql`CREATE TABLE owners (name text CONSTRAINT owners_pkey PRIMARY KEY)`)
  await db.execute(sql`
    CREATE TABLE seats (
      id int CONSTRAINT seats_pkey PRIMARY KEY,
      owner text CONSTRAINT seats_owner_fkey REFERENCES owners,
      price int NOT NULL DEFAULT 1 CONSTRAINT seats_price_check CHECK (price >= 0),
      taken int4range,
      later int CONSTRAINT seats_later_key UNIQUE DEFERRABLE INITIALLY DEFERRED,
      CONSTRAINT seats_taken_excl EXCLUDE USING gist (taken WITH &&)
    )`)
}

/** Where tables are made: `public`, unless the place is a schema of its own. */
export async function currentSchema(db: SqlQueries): Promise<string> {
  return (await db.one<{ schema: string }>(sql`SELECT current_schema() AS schema`)).schema
}

/** The ids in `seats`, in order. */
export async function seatIds(db: SqlQueries): Promise<readonly number[]> {
  const rows = await db.query<{ id: number }>(sql`SELECT id FROM seats ORDER BY id`)
  return rows.map(({ id }) => id)
}

/** Lends a second client on the same place, and closes it whatever happens. */
export async function withOther(
  context: SqlContext,
  work: (other: SqlDatabase) => Promise<void>,
): Promise<void> {
  await lent(context.openAnother, ({ port }) => work(port))
}

/** Resolves once `holds` does. The bound only tells what never does from what is late. */
export async function eventually(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 20_000; Date.now() < end; ) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.fail(`it did not come about that ${what}`)
}

/** How many statements whose text holds `marker` the server runs now, the asking one aside. */
export async function running(db: SqlQueries, marker: string): Promise<number> {
  const { count } = await db.one<{ count: number }>(sql`
    SELECT count(*)::int AS count FROM pg_stat_activity
    WHERE query LIKE ${`%${marker}%`} AND state = 'active' AND pid <> pg_backend_pid()`)
  return count
}
