/** Makes the pool that a URL asks for. Loaded only when one does. */
import type pg from 'pg'
import type { DatastoreDriver } from '../../src/adapter.ts'
import type { SqlDatabase } from '../../src/ports/sql-database.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { openPool } from './pool.ts'
import { postgresSqlDatabase } from './sql-database.ts'

// How long closing may take before connections that do not end are cut.
const endMs = 5_000

export async function openPostgres(url: ServiceUrl, service: string): Promise<DatastoreDriver<SqlDatabase>> {
  const pool = openPool(url, service)
  const clients = new Set<pg.PoolClient>()
  pool.on('connect', (client) => clients.add(client))
  pool.on('remove', (client) => clients.delete(client))
  const driver = postgresSqlDatabase(pool, { secrets: url.secrets })
  return {
    ...driver,
    async close() {
      await driver.close()
      // The pool goes on reporting errors until it has ended.
      pool.on('error', () => {})
      const ended = pool.end()
      const cut = setTimeout(() => {
        for (const { connection } of clients) connection.stream.destroy()
      }, endMs)
      await ended.finally(() => clearTimeout(cut))
    },
  }
}
