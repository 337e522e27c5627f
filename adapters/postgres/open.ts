/** Makes the pool that a URL asks for. Loaded only when one does. */
import type { DatastoreDriver } from '../../src/adapter.ts'
import type { SqlDatabase } from '../../src/ports/sql-database.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { fingerprintPostgres } from './fingerprint.ts'
import { isPooled, type OpenPool, openPool } from './pool.ts'
import { withReplica } from './replica-facts.ts'
import { withServerDefaults } from './server-defaults.ts'
import { postgresSqlDatabase } from './sql-database.ts'
import { replicaOf } from './url.ts'

// How long the server may take to end a connection that is told to, before that is cut: no call is under way then,
// so nothing is lost with it. Less than the guard waits in any case.
const endMs = 200

export async function openPostgres(url: ServiceUrl, service: string): Promise<DatastoreDriver<SqlDatabase>> {
  const primary = openPool(url, service)
  const at = replicaOf(url)
  const replica = at && openPool(url, service, at)
  const driver = postgresSqlDatabase(primary.pool, {
    secrets: url.secrets,
    pooler: isPooled(url) ? 'transaction' : undefined,
    replica: replica && { pool: replica.pool, maxLagMs: url.integer('replicaMaxLagMs') },
  })
  return {
    ...driver,
    async fingerprint({ signal }) {
      const found = await withServerDefaults(
        await fingerprintPostgres(driver.calls, signal),
        url,
        service,
        signal,
      )
      if (replica === undefined) return found
      return withReplica(found, { primary: primary.pool, replica: replica.pool }, signal)
    },
    async close() {
      await driver.close()
      await Promise.all([primary, ...(replica ? [replica] : [])].map(end))
    },
  }
}

async function end({ pool, clients }: OpenPool): Promise<void> {
  // The pool goes on reporting errors until it has ended.
  pool.on('error', () => {})
  const ended = pool.end()
  const cut = setTimeout(() => {
    for (const { connection } of clients) connection.stream.destroy()
  }, endMs)
  await ended.finally(() => clearTimeout(cut))
}
