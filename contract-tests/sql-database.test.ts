import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { postgres } from '../adapters/postgres/index.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type CallEvent, type Guarded, guard } from '../src/calls/guard.ts'
import type { PortErrorCode } from '../src/errors.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { notingCodes } from './codes.ts'
import { defineContract, type OpenSubject, type Subject } from './contract.ts'
import { networkTo } from './network.ts'
import { type FreshPlace, freshPostgres, pins, startServer } from './servers.ts'
import type { InsideSqlDatabase } from './sql-database/inside.ts'
import { sqlDatabaseCodes } from './sql-database/limits.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

const seen = new Set<PortErrorCode>()
let opened = 0

async function openPostgres(
  text: string,
  observe?: (event: CallEvent) => void,
): Promise<Guarded<SqlDatabase>> {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  const guarded = guard(SqlDatabase, driver, { service: 'orders', secrets: parsed.url.secrets, observe })
  return notingCodes(SqlDatabase, guarded, seen)
}

function changed(
  text: string,
  parts: Partial<Record<'password' | 'port', string>>,
  parameters: Readonly<Record<string, number>> = {},
): string {
  const url = Object.assign(new URL(text), parts)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, String(value))
  return url.href
}

/** @param admin the superuser's URL of the server */
async function openAt(url: string, admin: string): Promise<OpenSubject<SqlDatabase>> {
  const refused = `canary-${randomBytes(8).toString('hex')}`
  const network = networkTo(Number(new URL(url).port), (port) =>
    openPostgres(changed(url, { port: String(port) })),
  )
  return {
    guarded: await openPostgres(url),
    openAnother: () => openPostgres(url),
    openObserved: (observe) => openPostgres(url, observe),
    openRefused: () => openPostgres(changed(url, { password: refused })),
    canaries: [new URL(url).password, refused],
    inside: insideOf(url, admin),
    network,
    dispose: () => network.close(),
  }
}

function insideOf(url: string, admin: string): InsideSqlDatabase {
  const role = pg.escapeIdentifier(new URL(url).username)
  const lendWhile = async (
    begin: string,
    end: string,
    work: (client: Guarded<SqlDatabase>) => Promise<void>,
  ): Promise<void> => {
    await run(admin, `ALTER ROLE ${role} ${begin}`)
    const client = await openPostgres(url)
    try {
      await work(client)
    } finally {
      await client.close()
      await run(admin, `ALTER ROLE ${role} ${end}`)
    }
  }
  return {
    openNarrow: (limits) => openPostgres(changed(url, {}, { ...limits })),
    whileFull: (work) => lendWhile('CONNECTION LIMIT 0', 'CONNECTION LIMIT -1', work),
    whileDiskIsFull: (work) => lendWhile("SET temp_file_limit = '64kB'", 'RESET temp_file_limit', work),
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
  await run(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
}

async function run(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, lock_timeout: 5_000 })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

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
  openUnreachable,
  async open() {
    // Emptied rather than made anew, which takes many times as long.
    await empty(place.url)
    opened += 1
    return openAt(place.url, inject('postgresUrl'))
  },
}

/** A server that may be killed: one for each behaviour, so only for those that need it. */
const own: Subject<SqlDatabase> = {
  name: `pg on a PostgreSQL ${pins.postgres} of its own`,
  ...identity,
  async open() {
    const server = await startServer('postgres', { durable: true })
    const open = await openAt(await server.provision('orders'), server.adminUrl())
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
