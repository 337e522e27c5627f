/** SqlDatabase with a read replica, each server behind a PgBouncer in transaction mode. */
import { expect, test } from 'vitest'
import { sql } from '../src/ports/sql.ts'
import { findPgBouncer, noPgBouncer, startPgBouncer } from './servers/pgbouncer.setup.ts'
import { startReplicated } from './servers/postgres-replica.setup.ts'
import { changed, openPostgres } from './sql-database.setup.ts'

const program = await findPgBouncer()

test.skipIf(program === undefined)(
  `reads go to the replica, and what was written is read${program === undefined ? ` (${noPgBouncer})` : ''}`,
  async () => {
    await using servers = await startReplicated()
    const primary = Object.assign(new URL(servers.url), { search: '' }).href
    const standby = Object.assign(new URL(primary), { port: String(servers.replica.port) }).href
    await using before = await startPgBouncer(program ?? '', { users: [primary], poolSize: 2 })
    await using beforeReplica = await startPgBouncer(program ?? '', { users: [standby], poolSize: 2 })
    const replica = `${new URL(beforeReplica.via(standby)).host}/orders`
    const guarded = await openPostgres(changed(before.via(primary), {}, { replica }))
    await using closing = new AsyncDisposableStack()
    closing.defer(() => guarded.close())
    const db = guarded.port
    const reading = { readOnly: true } as const
    const readThere = (): Promise<boolean> =>
      db.transaction(
        async (transaction) =>
          (await transaction.one<{ yes: boolean }>(sql`SELECT pg_is_in_recovery() AS yes`)).yes,
        reading,
      )
    await db.execute(sql`CREATE TABLE pooled (id int)`)
    await expect.poll(readThere, { timeout: 20_000, interval: 20 }).toBe(true)
    for (let n = 1; n < 30; n += 1) {
      await db.execute(sql`INSERT INTO pooled VALUES (${n})`)
      const counted = await db.transaction(
        (transaction) => transaction.one<{ n: number }>(sql`SELECT count(*)::int AS n FROM pooled`),
        reading,
      )
      expect(counted.n).toBe(n)
    }
    await expect.poll(readThere, { timeout: 20_000, interval: 20 }).toBe(true)
  },
)
