import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DatastoreAdapter } from '../adapter.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { bounded, defineServices } from '../services/declare.ts'
import type { TestPlaces } from './places.ts'
import { type Lodging, Stay } from './stay.ts'

interface Till {
  count(options?: CallOptions): Promise<number>
}
const Till: Port<Till> = definePort<Till>({
  name: 'till',
  operations: { count: { kind: 'call', effect: 'read', idempotent: false, arity: 0 } },
})

let log: string[]
let answer: PromiseWithResolvers<number>
let failsToClose: boolean
beforeEach(() => {
  log = []
  answer = Promise.withResolvers()
  failsToClose = false
})
afterEach(() => answer.resolve(0))

const adapter: DatastoreAdapter<Till> = {
  name: 'store',
  engine: 'tills',
  port: Till,
  schemes: ['store'],
  example: 'store://host',
  parameters: {},
  open: async () => ({
    calls: { count: () => answer.promise },
    ping: async () => {},
    identify: async () => ({ engine: 'tills', version: '2.1' }),
    close: async () => {
      log.push('closed')
      if (failsToClose) throw new Error('it is stuck')
    },
  }),
  server: () => expect.fail('a test on places starts no server'),
}
const services = defineServices({ till: bounded(Till, { adapter, version: '2.1' }) })
const places: TestPlaces = { env: { TILL_URL: 'store://a' }, drop: async () => {}, keep: async () => {} }

/** A lodging that cuts the calls of whoever leaves it. */
const lodging: Lodging = {
  take: async () => places,
  leave: async (_, failed) => {
    log.push(failed === undefined ? 'left' : `left, for "${failed}" failed`)
    answer.resolve(7)
  },
}

describe('a test that ends', () => {
  test('is closed first, and then gives up its places', async () => {
    const stay = new Stay(services, lodging, {})
    await stay.attached
    await stay.end(undefined)
    expect(log).toEqual(['closed', 'left'])
  })

  test('is let finish what it has begun', async () => {
    const stay = new Stay(services, lodging, {})
    const { app } = await stay.attached
    const counted = app.till.count()
    const ended = stay.end(undefined)
    answer.resolve(3)
    expect(await counted).toBe(3)
    await ended
    expect(log).toEqual(['closed', 'left'])
  })

  test('that failed and waits for an answer still is cut off from its places', async () => {
    const stay = new Stay(services, lodging, {})
    const { app } = await stay.attached
    const counted = app.till.count()
    await Promise.all([stay.end('it hangs'), counted])
    expect(log).toEqual(['left, for "it hangs" failed', 'closed'])
  })

  test.each([undefined, 'it fails'])(
    'gives up its places though it cannot be closed (%s)',
    async (failed) => {
      failsToClose = true
      const stay = new Stay(services, lodging, {})
      await stay.attached
      await expect(stay.end(failed)).rejects.toThrow(/did not close cleanly/)
      expect(log[1]).toMatch(/^left/)
    },
  )
})

test('a test that could not be attached gives up its places', async () => {
  const stay = new Stay(services, { ...lodging, take: async () => ({ ...places, env: {} }) }, {})
  await expect(stay.attached).rejects.toThrow(/TILL_URL/)
  await stay.end('it never began')
  expect(log).toEqual(['left, for "it never began" failed'])
})

test('a test that had no places has none to give up', async () => {
  const stay = new Stay(services, { ...lodging, take: () => Promise.reject(new Error('all are taken')) }, {})
  await expect(stay.attached).rejects.toThrow('all are taken')
  await stay.end('it never began')
  expect(log).toEqual([])
})
