/** Assertions that behaviours share. They throw `AssertionError`, which every runner shows well. */
import assert from 'node:assert/strict'
import { PortError, type PortErrorCode } from '../src/errors.ts'

/** What a `PortError` is expected to say beyond its code. */
export interface ExpectedError {
  readonly outcome?: PortError['outcome']
  readonly retryable?: boolean
  readonly reason?: string
  readonly operation?: string
  readonly subject?: string
}

/** Awaits a rejection with a `PortError` of this code; answers the error. */
export async function expectPortError(
  promise: Promise<unknown>,
  code: PortErrorCode,
  expected: ExpectedError = {},
): Promise<PortError> {
  const error = await promise.then(
    () => assert.fail(`expected a PortError "${code}", but the call resolved`),
    (reason: unknown) => reason,
  )
  if (!PortError.is(error)) throw error
  assert.equal(error.code, code, `expected code "${code}", got "${error.code}": ${error.message}`)
  for (const [field, value] of Object.entries(expected)) {
    assert.equal(error[field as keyof PortError], value, `of the error "${error.message}", ${field}`)
  }
  return error
}

/** Everything an async iterable gives, as an array. */
export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

/**
 * Whether no key in `value` is one backslash. After such a key V8's own `JSON.parse` takes others that are one escape, as
 * `"\n"`, for it (nodejs/node#63785), which no adapter can help.
 */
export function hasNoBackslashKey(value: unknown): boolean {
  return !JSON.stringify(value).includes('"\\\\":')
}
