/** Every error that a request can end with, as an HTTP answer: the one place where that is decided. */
import { PortError, type PortErrorCode } from 'portside'
import { ShopError, type ShopErrorCode } from '../shop/errors.ts'

export interface ErrorAnswer {
  readonly status: 400 | 401 | 403 | 404 | 409 | 422 | 500 | 503
  readonly headers: Readonly<Record<string, string>>
  readonly body: {
    readonly error: {
      readonly code: string
      readonly message: string
      readonly problems?: readonly string[]
    }
  }
}

const shopStatus: Readonly<Record<ShopErrorCode, ErrorAnswer['status']>> = {
  'bad-request': 400,
  'not-logged-in': 401,
  'not-allowed': 403,
  'not-found': 404,
  'sold-out': 409,
  'seats-taken': 409,
  'key-reused': 422,
}

// What passes by itself. The client repeats the request, with the same Idempotency-Key, and nothing happens twice.
const passing: ReadonlySet<PortErrorCode> = new Set([
  'unavailable',
  'timeout',
  'rate-limited',
  'conflict',
  'cancelled',
  'closed',
])

export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof ShopError) {
    const { code, message, problems } = error
    const body = { error: problems.length === 0 ? { code, message } : { code, message, problems } }
    return { status: shopStatus[code], headers: {}, body }
  }
  if (PortError.is(error) && passing.has(error.code)) {
    const seconds = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1_000))
    const message = 'the shop cannot answer right now; send the same request again'
    return {
      status: 503,
      headers: { 'retry-after': String(seconds) },
      body: { error: { code: 'unavailable', message } },
    }
  }
  // Ours to mend, and none of the client's business: the log has it.
  return { status: 500, headers: {}, body: { error: { code: 'internal', message: 'something went wrong' } } }
}
