/**
 * What the answers of X's API and the failures of fetch mean. X tells its problems as `{ title, detail, type }`
 * (RFC 7807); several things share one status, so the text of `detail` is looked at where nothing else tells.
 */
import type { Classification } from '../../src/adapter.ts'

/** An answer of X that is none of success. */
export class XApiError extends Error {
  override readonly name = 'XApiError'
  readonly status: number
  /** `title`, `detail` and `type` as X sent them; '' where it did not. */
  readonly problem: { readonly title: string; readonly detail: string; readonly type: string }
  /** When the limit that was reached is lifted, in milliseconds since the Unix epoch. */
  readonly resetAtMs: number | undefined

  constructor(status: number, problem: unknown, resetAtMs?: number) {
    const { title, detail, type } = (problem ?? {}) as Record<string, unknown>
    const text = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 300) : '')
    super(`X answered ${status}${text(detail || title) === '' ? '' : `: ${text(detail || title)}`}`)
    this.status = status
    this.problem = { title: text(title), detail: text(detail), type: text(type) }
    this.resetAtMs = resetAtMs
  }
}

/** X answered, but not what it documents. */
export class XAnswerError extends Error {
  override readonly name = 'XAnswerError'
  /** Whether the status said that the request was carried out. */
  readonly accepted: boolean

  constructor(message: string, accepted: boolean, options?: ErrorOptions) {
    super(message, options)
    this.accepted = accepted
  }
}

/** Failures of fetch before any of the request can have left. */
const notSent: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
])
const noTls = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/

/** Pure; `undefined` for an error that comes from neither X nor fetch. */
export function classifyXError(error: unknown, nowMs: number): Classification | undefined {
  if (error instanceof XApiError) return classifyAnswer(error, nowMs)
  if (error instanceof XAnswerError) {
    return { code: 'corrupt', message: error.message, outcome: error.accepted ? 'applied' : 'unknown' }
  }
  if (!(error instanceof Error)) return undefined
  if (error.name === 'AbortError') return { code: 'cancelled', message: 'the request was aborted' }
  const code = systemCode(error)
  // What fetch throws for every failure of the network.
  if (code === undefined) {
    return error instanceof TypeError && error.message === 'fetch failed'
      ? { code: 'unavailable', message: 'X cannot be reached', outcome: 'unknown' }
      : undefined
  }
  if (noTls.test(code)) {
    const message = `no TLS could be agreed with X (${code})`
    return { code: 'unavailable', message, outcome: 'not-applied', retryable: false }
  }
  return notSent.has(code)
    ? { code: 'unavailable', message: `X cannot be reached (${code})`, outcome: 'not-applied' }
    : { code: 'unavailable', message: `the connection to X was lost (${code})`, outcome: 'unknown' }
}

/** What the system said, anywhere in the chain of causes, or in the attempts at a name with several addresses. */
function systemCode(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > 8) return undefined
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown }
  if (typeof code === 'string') return code
  const attempts = Array.isArray(errors) ? errors.map((each) => systemCode(each, depth + 1)) : []
  // Sent by none only if each attempt failed before that.
  return (
    attempts.find((each) => each === undefined || !notSent.has(each)) ??
    attempts[0] ??
    systemCode(cause, depth + 1)
  )
}

function classifyAnswer(error: XApiError, nowMs: number): Classification {
  const { status, problem, message, resetAtMs } = error
  const refused = { message, outcome: 'not-applied' } as const
  switch (status) {
    case 400:
      return { ...refused, code: 'invalid-argument' }
    case 401:
      return { ...refused, code: 'unauthenticated' }
    case 403:
      if (/duplicate content/i.test(problem.detail)) {
        return { ...refused, code: 'rejected', reason: 'duplicate' }
      }
      if (/reply to a (tweet|post) that is deleted/i.test(problem.detail)) {
        return { ...refused, code: 'rejected', reason: 'missing-post' }
      }
      if (/more than one cashtag/i.test(problem.detail)) {
        return { ...refused, code: 'rejected', reason: 'too-many-cashtags' }
      }
      return { ...refused, code: 'permission-denied' }
    case 404:
      return { ...refused, code: 'not-found' }
    case 429:
      // A plan's cap lasts until the month ends: no wait helps.
      if (problem.type.endsWith('/usage-capped')) return { ...refused, code: 'quota-exceeded' }
      return {
        ...refused,
        code: 'rate-limited',
        retryAfterMs: resetAtMs === undefined ? undefined : Math.max(0, resetAtMs - nowMs),
      }
    case 501:
      return { ...refused, code: 'unsupported' }
    default:
      if (status >= 500) return { code: 'unavailable', message, outcome: 'unknown' }
      if (status >= 300 && status < 400) {
        return { ...refused, code: 'internal', message: 'X redirected the request, which is not followed' }
      }
      return { ...refused, code: 'internal' }
  }
}
