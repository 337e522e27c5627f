/** SqlDatabase through PgBouncer in transaction mode. */
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { defineContract, type Subject } from './contract.ts'
import { findPgBouncer, noPgBouncer, type PgBouncer, startPgBouncer } from './servers/pgbouncer.setup.ts'
import { type FreshPlace, freshPostgres, pins, startServer } from './servers.ts'
import { empty, openNowhere, openOn } from './sql-database.setup.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

const program = await findPgBouncer()

describe.skipIf(program === undefined)(program === undefined ? noPgBouncer : 'PgBouncer', () => {
  let place: FreshPlace
  let bouncer: PgBouncer
  beforeAll(async () => {
    place = await freshPostgres()
    bouncer = await startPgBouncer(program ?? '', { users: [place.url] })
  })
  afterAll(async () => {
    await bouncer?.dispose()
    await place?.drop()
  })

  const identity = {
    id: 'postgres-on-pgbouncer',
    kind: 'real',
    adapter: 'postgres',
    server: async () => ({ product: 'postgresql', version: pins.postgres }),
  } as const

  const shared: Subject<SqlDatabase> = {
    name: `pg by PgBouncer on PostgreSQL ${pins.postgres}`,
    ...identity,
    openUnreachable: () => openNowhere(),
    async open() {
      await empty(place.url)
      return openOn(bouncer.via(place.url), {
        admin: inject('postgresUrl'),
        onRoleChanged: () => bouncer.reconnect(),
      })
    },
  }

  /** A server behind it that may be killed. */
  const own: Subject<SqlDatabase> = {
    name: `pg by PgBouncer on a PostgreSQL ${pins.postgres} of its own`,
    ...identity,
    async open() {
      const server = await startServer('postgres', { durable: true })
      const url = await server.provision('orders')
      const before = await startPgBouncer(program ?? '', {
        users: [url],
        // While the server is down it lets calls wait, by its own choice for two minutes.
        settings: ['query_wait_timeout = 1'],
      })
      const open = await openOn(before.via(url), { admin: server.adminUrl() })
      return {
        ...open,
        server,
        async dispose() {
          await open.dispose?.()
          await before.dispose()
          await server.dispose()
        },
      }
    },
  }

  const { behaviours } = sqlDatabaseContract
  const needsServer = behaviours.filter(({ needs }) => needs?.includes('server'))
  const others = behaviours.filter((behaviour) => !needsServer.includes(behaviour))

  describeContract(defineContract(SqlDatabase, others), shared)
  describeContract(defineContract(SqlDatabase, needsServer), own)
})
