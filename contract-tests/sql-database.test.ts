import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { postgres } from '../adapters/postgres/index.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { defineContract, type OpenSubject, type Subject } from './contract.ts'
import { type FreshPlace, freshPostgres, pins, startServer } from './servers.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

export async function openPostgres(text: string): Promise<Guarded<SqlDatabase>> {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  return guard(SqlDatabase, driver, { service: 'orders', secrets: parsed.url.secrets })
}

async function openAt(url: string): Promise<OpenSubject<SqlDatabase>> {
  return {
    guarded: await openPostgres(url),
    openAnother: () => openPostgres(url),
    canaries: [new URL(url).password],
  }
}

async function openUnreachable(): Promise<OpenSubject<SqlDatabase>> {
  const secret = `canary-${randomBytes(8).toString('hex')}`
  // Port 1 is reserved, and nothing listens there.
  return {
    guarded: await openPostgres(`postgres://someone:${secret}@127.0.0.1:1/orders`),
    canaries: [secret],
  }
}

let place: FreshPlace
beforeAll(async () => {
  place = await freshPostgres()
})
afterAll(() => place.drop())

async function empty(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, lock_timeout: 5_000 })
  await client.connect()
  try {
    await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  } finally {
    await client.end()
  }
}

const shared: Subject<SqlDatabase> = {
  name: `pg on PostgreSQL ${pins.postgres}`,
  kind: 'real',
  openUnreachable,
  async open() {
    // Emptied rather than made anew, which takes many times as long.
    await empty(place.url)
    return openAt(place.url)
  },
}

/** A server that may be killed: one for each behaviour, so only for those that need it. */
const own: Subject<SqlDatabase> = {
  name: `pg on a PostgreSQL ${pins.postgres} of its own`,
  kind: 'real',
  async open() {
    const server = await startServer('postgres', { durable: true })
    return {
      ...(await openAt(await server.provision('orders'))),
      server,
      dispose: () => server.dispose(),
    }
  },
}

const { behaviours } = sqlDatabaseContract
const needsServer = behaviours.filter(({ needs }) => needs?.includes('server'))
const others = behaviours.filter((behaviour) => !needsServer.includes(behaviour))

describeContract(defineContract(SqlDatabase, others), shared)
describeContract(defineContract(SqlDatabase, needsServer), own)
