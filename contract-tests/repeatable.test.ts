/** A contract may be run twice on a store that others use, and beside itself. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { postgres } from '../adapters/postgres/index.ts'
import { systemClock } from '../src/calls/clock.ts'
import { guard } from '../src/calls/guard.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { sql } from '../src/ports/sql.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { Behaviour, Contract, Subject } from './contract.ts'
import { openOn } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { runContract } from './run.ts'
import { freshPostgres, freshRedis } from './servers.ts'
import { sqlDatabaseContract } from './sql-database.ts'

/** The behaviours of these families, in the order given. */
function some<T extends object>(contract: Contract<T>, families: readonly string[]): Contract<T> {
  const belongs = ({ id }: Behaviour<T>): boolean => families.includes(id.split('/')[0] ?? '')
  return { port: contract.port, behaviours: contract.behaviours.filter(belongs) }
}

/** Twice at once, then once more on what these left behind. */
async function runThrice<T extends object>(contract: Contract<T>, subject: Subject<T>): Promise<void> {
  const both = await Promise.all([runContract(contract, subject), runContract(contract, subject)])
  const results = [...both.flat(), ...(await runContract(contract, subject))]
  expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([])
  const passed = results.filter(({ outcome }) => outcome === 'passed')
  expect(passed.length).toBeGreaterThan(2.5 * contract.behaviours.length)
}

test('a key-value store that is dirty', async () => {
  const place = await freshRedis()
  const client = new Redis(place.url)
  try {
    await client.mset(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${index}`, 'left'])))
    await client.mset('k', 'left', 'n', 'left', 'key', 'left', 'counter', 'left')
    const before = await client.dbsize()
    const subject: Subject<KeyValueStore> = {
      name: 'a prefix of a dirty redis',
      kind: 'real',
      // Nothing is taken away at the end, as where a run was cut short.
      open: () => openOn(`${place.url}?keyPrefix=${randomBytes(6).toString('hex')}:`),
      openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0'),
    }
    const families = ['common', 'condition', 'increment', 'expiry']
    await runThrice(some(keyValueStoreContract, families), subject)
    expect(await client.get('k')).toBe('left')
    expect(await client.dbsize()).toBeGreaterThan(before)
  } finally {
    client.disconnect()
    await place.drop()
  }
})

test('a database beside others of its server', async () => {
  const places = await Promise.all([freshPostgres(), freshPostgres()])
  const free = [...places]
  const open = async (text: string): Promise<ReturnType<typeof guard<SqlDatabase>>> => {
    const parsed = ServiceUrl.parse(text, postgres.parameters)
    if (!('url' in parsed)) throw new Error('bad URL')
    return guard(SqlDatabase, await postgres.open(parsed.url, { service: 'orders', clock: systemClock }))
  }
  const subject: Subject<SqlDatabase> = {
    name: 'a database among others',
    kind: 'real',
    async open() {
      const place = free.pop()
      if (place === undefined) throw new Error('a behaviour has not given its database back')
      const guarded = await open(place.url)
      await guarded.port.execute(sql`DROP SCHEMA public CASCADE`)
      await guarded.port.execute(sql`CREATE SCHEMA public`)
      return {
        guarded,
        openAnother: () => open(place.url),
        dispose: async () => void free.push(place),
      }
    },
  }
  try {
    await runThrice(some(sqlDatabaseContract, ['savepoint', 'error', 'rows']), subject)
  } finally {
    for (const place of places) await place.drop()
  }
})
