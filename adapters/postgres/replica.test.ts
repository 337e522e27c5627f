/** What a URL says of a replica, and one that is silent. What a replica is for is shown on a real one: contract-tests/replica.test.ts. */
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FreshPlace, freshPostgres } from '../../contract-tests/servers.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { guard } from '../../src/calls/guard.ts'
import { sql } from '../../src/ports/sql.ts'
import { SqlDatabase } from '../../src/ports/sql-database.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { postgres } from './index.ts'
import { clientConfig } from './pool.ts'
import { replicaOf } from './url.ts'

let place: FreshPlace
beforeAll(async () => {
  place = await freshPostgres()
})
afterAll(() => place.drop())

function parse(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

const withReplica = (replica: string): ServiceUrl =>
  parse(`postgres://u:p@db.internal:6000/orders?replica=${encodeURIComponent(replica)}`)

describe('the replica in a URL', () => {
  test.each([
    ['copy.internal', { host: 'copy.internal', port: 6_000, database: 'orders' }],
    ['copy.internal:5433', { host: 'copy.internal', port: 5_433, database: 'orders' }],
    ['copy.internal:5433/orders_ro', { host: 'copy.internal', port: 5_433, database: 'orders_ro' }],
    ['copy.internal/50% of it', { host: 'copy.internal', port: 6_000, database: '50% of it' }],
    ['[::1]:5433', { host: '::1', port: 5_433, database: 'orders' }],
  ])('%s', (text, at) => {
    expect(replicaOf(withReplica(text))).toEqual(at)
    expect(postgres.validate?.(withReplica(text))).toEqual([])
  })

  test.each([
    'u:secret@copy',
    'copy:port',
    'copy:70000',
    'copy:0',
    'copy:',
    'copy/',
    ':5433',
    'a/b/c',
    'copy?sslmode=disable',
    'a b',
    '%zz',
  ])('is not in the form of %s, and the problem does not repeat it', (text) => {
    const [problem, ...others] = postgres.validate?.(withReplica(text)) ?? []
    expect(problem).toMatch(/"replica" must be host/)
    expect(problem).not.toContain('secret')
    expect(others).toEqual([])
    expect(() => replicaOf(withReplica(text))).toThrow(/host:port/)
  })

  test('is reached by TLS unless it is on this machine, wherever the primary is', () => {
    const of = (text: string): unknown => {
      const url = parse(text)
      return clientConfig(url, 'orders', replicaOf(url)).ssl
    }
    expect(of('postgres://u:p@127.0.0.1/orders?replica=copy.internal')).toMatchObject({
      rejectUnauthorized: true,
    })
    expect(of('postgres://u:p@db.internal/orders?replica=127.0.0.1')).toBe(false)
    expect(of('postgres://u:p@127.0.0.1/orders?replica=copy.internal&sslmode=disable')).toBe(false)
  })

  test('is asked for by whoever bounds its lag', () => {
    expect(postgres.validate?.(parse('postgres://u:p@db/orders?replicaMaxLagMs=5'))).toEqual([
      'its parameter "replicaMaxLagMs" is of no use without replica',
    ])
  })
})

test('a replica that takes connections and says nothing is left alone, and the primary is read', async () => {
  let connections = 0
  const silent = createServer((socket) => {
    connections += 1
    socket.on('error', () => {})
  })
  await new Promise<void>((listening) => silent.listen(0, '127.0.0.1', listening))
  const { port } = silent.address() as { readonly port: number }
  const url = parse(`${place.url}?replica=${encodeURIComponent(`127.0.0.1:${port}`)}`)
  const driver = await postgres.open(url, { service: 'orders', clock: systemClock })
  const guarded = guard(SqlDatabase, driver, { service: 'orders' })
  try {
    for (let reads = 0; reads < 20; reads += 1) {
      const row = await guarded.port.transaction(
        (transaction) => transaction.one(sql`SELECT pg_is_in_recovery() AS there`),
        { readOnly: true },
      )
      expect(row).toEqual({ there: false })
    }
    expect(connections).toBeGreaterThan(0)
    // One, unless the machine itself halts for longer than the pause.
    expect(connections).toBeLessThan(5)
    // An abort of the caller's ends the wait for it at once, and is what is told.
    const abort = AbortSignal.abort()
    await expect(
      guarded.port.transaction(async () => {}, { readOnly: true, signal: abort }),
    ).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' })
  } finally {
    await guarded.close()
    silent.close()
  }
})
