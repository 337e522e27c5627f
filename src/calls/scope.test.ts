import { expect, test } from 'vitest'
import { PortError } from '../errors.ts'
import { type CallOptions, definePort } from '../port.ts'
import { type BulkResult, brandedBulk, bulkResult } from '../ports/bulk.ts'
import { guard } from './guard.ts'
import { defaultRetry } from './retry.ts'
import { testFailure } from './scope.ts'

interface Shelf {
  putAll(keys: readonly string[], options?: CallOptions): Promise<BulkResult>
}

const Shelf = definePort<Shelf>({
  name: 'shelf',
  operations: {
    putAll: { kind: 'call', effect: 'write', idempotent: true, arity: 1, output: brandedBulk },
  },
})

test('the error of one item of many names service, operation and item, and shows no secret', async () => {
  const full = new PortError({
    code: 'quota-exceeded',
    message: 'no room at hunter2-secret',
    outcome: 'unknown',
    cause: new Error('refused hunter2-secret'),
  })
  const calls: Shelf = {
    putAll: async (keys) =>
      bulkResult(keys.map((key) => ({ key, error: key === 'large' ? full : undefined }))),
  }
  const driver = { calls, secrets: ['hunter2-secret'], ping: async () => {}, close: async () => {} }
  const { port } = guard(Shelf, driver, { service: 'books' })

  const { items, ok } = await port.putAll(['small', 'large'])

  expect(ok).toBe(false)
  expect(items[0]).toEqual({ key: 'small', error: undefined })
  const error = items[1]?.error
  expect(error).toMatchObject({
    code: 'quota-exceeded',
    service: 'books',
    port: 'shelf',
    operation: 'putAll',
    subject: 'large',
    outcome: 'unknown',
  })
  expect(`${error?.message} ${error?.cause}`).not.toContain('hunter2')
})

test('an error that fails a test passes every guard as it is: no code takes it for a failed service', async () => {
  const failure = Object.assign(new Error('not expected'), { [testFailure]: true })
  const calls: Shelf = { putAll: () => Promise.reject(failure) }
  const { port } = guard(
    Shelf,
    { calls, ping: async () => {}, close: async () => {} },
    { retry: defaultRetry },
  )

  await expect(port.putAll(['a'])).rejects.toBe(failure)
})
