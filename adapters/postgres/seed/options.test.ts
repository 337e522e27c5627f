/** What is decided before a database is asked. */
import { describe, expect, test, vi } from 'vitest'
import { expectPortError } from '../../../contract-tests/expect.ts'
import type { SeedOptions } from '../../../src/adapter.ts'
import { ServiceUrl } from '../../../src/services/url.ts'
import { postgres } from '../index.ts'
import { defineSeed } from './index.ts'
import { seed as fill, seedHash } from './seeder.ts'

function urlOf(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

test.each([
  [{ definition: { table: {} } }],
  [{ definition: { tables: { events: { columns: { id: 5 } } } } }],
  [{ definition: { tables: { events: { columns: { id: [] } } } } }],
  [{ definition: { referenceDate: 'yesterday' } }],
  [{ rows: -1 }],
  [{ rows: 1.5 }],
  [{ seed: Number.NaN }],
  [{ existing: 'append' }],
  [{ rowz: 1 }],
])('options that are none are refused before the database is asked: %j', async (options) => {
  const gone = urlOf('postgres://nobody:x@127.0.0.1:1/nothing')
  await expectPortError(fill(gone, options as SeedOptions), 'invalid-argument')
})

test('a server elsewhere is not even asked, unless told', async () => {
  const elsewhere = urlOf('postgres://u:p@db.example.com/orders')
  const error = await expectPortError(fill(elsewhere), 'precondition-failed', { outcome: 'not-applied' })
  expect(error.message).toMatch(/not on this machine.*--really/)
})

describe('the hash of a seed', () => {
  const at = (): Date => new Date(0)
  const definition = defineSeed({ tables: { a: { columns: { n: [1, 2], at } } } })

  test('is the same for what gives the same rows', () => {
    const turned = {
      tables: { a: { columns: { at, n: [1, 2] } } },
    }
    expect(seedHash({ definition: turned })).toBe(seedHash({ definition, rows: 100, seed: 1 }))
    expect(seedHash({ definition })).toMatch(/^[0-9a-f]{64}$/)
  })

  test.each([
    ['rows', { rows: 101 }],
    ['seed', { seed: 2 }],
    ['values', { definition: defineSeed({ tables: { a: { columns: { n: [2, 1] } } } }) }],
    ['functions', { definition: defineSeed({ tables: { a: { columns: { n: () => 5 } } } }) }],
    ['the version', { definition: { ...definition, version: 2 } }],
    ['the reference date', { definition: { ...definition, referenceDate: '2026-01-01' } }],
  ])('tells other %s apart', (_, options) => {
    expect(seedHash({ definition, ...options })).not.toBe(seedHash({ definition }))
  })
  test('tells other versions of faker apart', async () => {
    const require = (): object => ({ version: '0.0.1' })
    vi.doMock('node:module', async (load) => ({ ...(await load<object>()), createRequire: () => require }))
    vi.resetModules()
    const { seedHash: other } = await import('./seeder.ts')
    vi.doUnmock('node:module')
    expect(other({ definition })).not.toBe(seedHash({ definition }))
    expect(other({ definition })).toMatch(/^[0-9a-f]{64}$/)
  })
})
