/** PostgreSQL: the `postgres` adapter, a driver for a pool that the app has, and the migrations. */
import type pg from 'pg'
import type { DatastoreAdapter } from '../../src/adapter.ts'
import { SqlDatabase } from '../../src/ports/sql-database.ts'
import { openPool, parameters, validate } from './pool.ts'
import { postgresSqlDatabase } from './sql-database.ts'

export { classifyPostgresError } from './errors.ts'
export { type PostgresOptions, postgresSqlDatabase } from './sql-database.ts'

// How long closing may take before connections that do not end are cut.
const endMs = 5_000

/**
 * SqlDatabase on PostgreSQL, by `pg`. The URL's path is the database; its parameters are `maxConnections`,
 * `connectTimeoutMs`, `applicationName`, `sslmode` and `sslrootcert`. Sessions run in UTC.
 */
export const postgres: DatastoreAdapter<SqlDatabase, pg.Pool> = {
  name: 'postgres',
  engine: 'postgresql',
  port: SqlDatabase,
  schemes: ['postgres', 'postgresql'],
  example: 'postgres://user:password@localhost:5432/orders',
  parameters,
  validate,
  async open(url, { service }) {
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
  },
  server: () => import('./server.ts'),
  async migrate(url, directory, options) {
    const { migrate } = await import('./migrate.ts')
    return migrate(url, directory, options)
  },
}
