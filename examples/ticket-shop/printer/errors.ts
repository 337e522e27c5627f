/** What the print shop's refusals and a broken connection mean, as port errors. Pure. */
import type { Classification } from 'portside'

/** An answer of the print shop that is no success. */
export class PrintShopRefusal extends Error {
  override readonly name = 'PrintShopRefusal'
  readonly status: number
  /** The word in the answer's `error` field; `undefined` where it has none. */
  readonly reason: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(status: number, body: string, retryAfter: string | null) {
    super(`the print shop answered ${status}`)
    this.status = status
    this.reason = /"error"\s*:\s*"([a-z_]{1,40})"/.exec(body)?.[1]?.replaceAll('_', '-')
    this.retryAfterMs = /^\d{1,6}$/.test(retryAfter ?? '') ? Number(retryAfter) * 1_000 : undefined
  }
}

/** `undefined` for what is neither an answer of the print shop nor a failed fetch. */
export function classifyPrintShopError(error: unknown): Classification | undefined {
  if (error instanceof PrintShopRefusal) return classifyRefusal(error)
  const code = networkCode(error)
  if (code === undefined) return undefined
  return {
    code: 'unavailable',
    message: `the print shop cannot be reached (${code})`,
    outcome: neverSent.has(code) ? 'not-applied' : 'unknown',
  }
}

// The connection did not come about, so no request went over it.
const neverSent = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

function classifyRefusal({ status, reason, retryAfterMs }: PrintShopRefusal): Classification {
  const message = `the print shop answered ${status}${reason === undefined ? '' : ` (${reason})`}`
  if (status === 401) return { code: 'unauthenticated', message: `${message}; check the API key` }
  if (status === 403) return { code: 'permission-denied', message }
  if (status === 409 && reason === 'already-printed') return { code: 'precondition-failed', message }
  if (status === 409) return { code: 'already-exists', message }
  if (status === 422 || status === 400) return { code: 'rejected', message, ...(reason && { reason }) }
  if (status === 429) return { code: 'rate-limited', message, ...(retryAfterMs && { retryAfterMs }) }
  // 503 says that the request was refused; other failures inside the shop may have come after the job was taken.
  if (status === 503) {
    return { code: 'unavailable', message, outcome: 'not-applied', ...(retryAfterMs && { retryAfterMs }) }
  }
  if (status >= 500) return { code: 'unavailable', message, outcome: 'unknown' }
  return { code: 'internal', message: `${message}, which this adapter does not know` }
}

/** The system's code of a fetch that failed: fetch itself says no more than "fetch failed". */
function networkCode(error: unknown): string | undefined {
  if (!(error instanceof TypeError)) return undefined
  const { cause } = error
  const causes = cause instanceof AggregateError ? cause.errors : [cause]
  for (const one of causes) {
    if (typeof one?.code === 'string') return one.code
  }
  return cause === undefined ? undefined : 'no code'
}
