/** What a call on many things answers: every item has its own result; none is left out. */
import type { PortError } from '../errors.ts'
import type { CallScope } from '../port.ts'

export interface BulkItem {
  readonly key: string
  /** `undefined` where the item succeeded. */
  readonly error: PortError | undefined
}

export interface BulkResult {
  /** One entry a key, in the order of the request. */
  readonly items: readonly BulkItem[]
  /** Whether every item succeeded. */
  readonly ok: boolean
}

/** Puts a result together from its items. */
export function bulkResult(items: readonly BulkItem[]): BulkResult {
  return { items, ok: items.every(({ error }) => error === undefined) }
}

/** The `output` of an operation that answers a bulk result: each item's error is like one of the call itself. */
export function brandedBulk(result: BulkResult, scope: CallScope): BulkResult {
  return bulkResult(
    result.items.map(({ key, error }) => ({
      key,
      error: error === undefined ? undefined : scope.failure(error, key),
    })),
  )
}
