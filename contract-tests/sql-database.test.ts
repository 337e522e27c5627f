import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { PortErrorCode } from '../src/errors.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { defineContract, type Subject } from './contract.ts'
import { type FreshPlace, freshPostgres, pins, startServer } from './servers.ts'
import { sqlDatabaseCodes } from './sql-database/limits.ts'
import { empty, openNowhere, openOn } from './sql-database.setup.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

const seen = new Set<PortErrorCode>()
let opened = 0

let place: FreshPlace
beforeAll(async () => {
  place = await freshPostgres()
})
afterAll(() => place.drop())

/** One subject to evidence, each with a part of the contract. A server of another version would not have started. */
const identity = {
  id: 'postgres-on-postgresql',
  kind: 'real',
  adapter: 'postgres',
  server: async () => ({ product: 'postgresql', version: pins.postgres }),
} as const

const shared: Subject<SqlDatabase> = {
  name: `pg on PostgreSQL ${pins.postgres}`,
  ...identity,
  openUnreachable: () => openNowhere(seen),
  async open() {
    // Emptied rather than made anew, which takes many times as long.
    await empty(place.url)
    opened += 1
    return openOn(place.url, { admin: inject('postgresUrl'), seen })
  },
}

/** A server that may be killed: one for each behaviour, so only for those that need it. */
const own: Subject<SqlDatabase> = {
  name: `pg on a PostgreSQL ${pins.postgres} of its own`,
  ...identity,
  async open() {
    const server = await startServer('postgres', { durable: true })
    const open = await openOn(await server.provision('orders'), { admin: server.adminUrl(), seen })
    return {
      ...open,
      server,
      async dispose() {
        await open.dispose?.()
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

test('every code that a database on a server can fail with was provoked, and no other', ({ skip }) => {
  if (opened < others.length) skip('only a part of the behaviours was run')
  expect([...seen].toSorted()).toEqual(sqlDatabaseCodes)
})
