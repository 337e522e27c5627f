/** PostgreSQL: the `postgres` adapter, a driver for a pool that the app has, and the migrations. */
import type pg from 'pg'
import type { SeedableAdapter } from '../../src/adapter.ts'
import { SqlDatabase } from '../../src/ports/sql-database.ts'
import { loadVendor } from '../../src/services/vendor.ts'
import { defaultPort, parameters, validate } from './url.ts'

export { classifyPostgresError } from './errors.ts'

/**
 * SqlDatabase on PostgreSQL, by `pg`. The URL's path is the database; its parameters are `maxConnections`,
 * `connectTimeoutMs`, `applicationName`, `sslmode` and `sslrootcert`. Sessions run in UTC.
 *
 * `pooler=transaction` is for a PgBouncer in transaction mode: the URL is then the pooler's, and statements that
 * leave something in a session (SET, LISTEN, PREPARE, temporary tables, session-wide advisory locks) are
 * `unsupported`. Migrations need the URL of the server itself.
 *
 * `replica=host:port` names a read replica. Transactions that are `readOnly`, serializable ones aside, run there
 * where it has all that this client wrote and is at most `replicaMaxLagMs` behind, and on the primary otherwise.
 */
export const postgres: SeedableAdapter<SqlDatabase, pg.Pool> = {
  name: 'postgres',
  engine: 'postgresql',
  port: SqlDatabase,
  schemes: ['postgres', 'postgresql'],
  example: 'postgres://user:password@localhost:5432/orders',
  parameters,
  validate,
  endpoint: ({ host, port }) => ({ host, port: port ?? defaultPort }),
  async open(url, { service }) {
    const { openPostgres } = await loadVendor(() => import('./open.ts'), ['pg'])
    return openPostgres(url, service)
  },
  server: () => import('./server.ts'),
  async migrate(url, directory, options) {
    const { migrate } = await import('./migrate.ts')
    return migrate(url, directory, options)
  },
  seeder: () => loadVendor(() => import('./seed/seeder.ts'), ['pg']),
  async migrationState(url, directory, options) {
    const { migrationState } = await loadVendor(() => import('./migration-state.ts'), ['pg'])
    return migrationState(url, directory, options)
  },
}
