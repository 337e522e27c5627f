/**
 * The one error class of every port, with a closed set of codes. Callers branch on {@link PortError.code},
 * never on a message.
 */

/** Every code a port can fail with. The set is closed: a new one is a breaking change. */
export const portErrorCodes = [
  'not-found',
  'already-exists',
  'precondition-failed',
  'conflict',
  'invalid-argument',
  'unauthenticated',
  'permission-denied',
  'rejected',
  'rate-limited',
  'quota-exceeded',
  'unavailable',
  'timeout',
  'cancelled',
  'unsupported',
  'closed',
  'corrupt',
  'internal',
] as const

/** One of {@link portErrorCodes}. */
export type PortErrorCode = (typeof portErrorCodes)[number]

/**
 * What is known of the call's effect on the service:
 * `not-applied` — it certainly had none; `applied` — it certainly had it (the answer alone was lost or bad);
 * `unknown` — the request may have been carried out. Only then must a caller look before trying again.
 */
export type Outcome = 'not-applied' | 'applied' | 'unknown'

/** What a {@link PortError} is made of. Adapters and fakes give what they know; the guard adds the rest. */
export interface PortErrorInit {
  readonly code: PortErrorCode
  /** What happened and what to do next, without the name of service or operation: those are added. */
  readonly message: string
  readonly service?: string | undefined
  readonly port?: string | undefined
  readonly operation?: string | undefined
  /** What the call was about: a key, a table, an event id. Never a value or a secret. */
  readonly subject?: string | undefined
  /** @default true for `unavailable`, `timeout`, `rate-limited` and `conflict`; false for the rest */
  readonly retryable?: boolean | undefined
  /** @default 'not-applied' for every code but `timeout`, `cancelled`, `unavailable`, `internal` and `corrupt` */
  readonly outcome?: Outcome | undefined
  /** How long the service asked to be left alone, in milliseconds. */
  readonly retryAfterMs?: number | undefined
  /** The vendor's business reason of a `rejected`, as a stable word: `duplicate`, `bad-recipient`, `card-declined`. */
  readonly reason?: string | undefined
  /** Facts a program may use: a constraint's name, an SQLSTATE, a missing variable. Never a value or a secret. */
  readonly details?: Readonly<Record<string, string>> | undefined
  readonly cause?: unknown
}

const brand: unique symbol = Symbol.for('portside.PortError') as never

const retryableCodes: ReadonlySet<PortErrorCode> = new Set([
  'unavailable',
  'timeout',
  'rate-limited',
  'conflict',
])
const uncertainCodes: ReadonlySet<PortErrorCode> = new Set([
  'timeout',
  'cancelled',
  'unavailable',
  'internal',
  'corrupt',
])

/**
 * A call on a port failed. Test with {@link PortError.is}, which also holds across two copies of this package
 * in one process (`instanceof` does not).
 */
export class PortError extends Error {
  override readonly name = 'PortError'
  readonly code: PortErrorCode
  readonly service: string | undefined
  readonly port: string | undefined
  readonly operation: string | undefined
  readonly subject: string | undefined
  /** Whether the same call may succeed later. Says nothing of whether repeating it is safe: see `outcome`. */
  readonly retryable: boolean
  readonly outcome: Outcome
  readonly retryAfterMs: number | undefined
  readonly reason: string | undefined
  readonly details: Readonly<Record<string, string>>
  /** The message without the leading `service.operation(subject):`. */
  readonly detail: string

  constructor(init: PortErrorInit) {
    super(headline(init) + init.message, init.cause === undefined ? undefined : { cause: init.cause })
    this.code = init.code
    this.service = init.service
    this.port = init.port
    this.operation = init.operation
    this.subject = init.subject
    this.retryable = init.retryable ?? retryableCodes.has(init.code)
    this.outcome = init.outcome ?? (uncertainCodes.has(init.code) ? 'unknown' : 'not-applied')
    this.retryAfterMs = init.retryAfterMs
    this.reason = init.reason
    this.details = { ...init.details }
    this.detail = init.message
    Object.defineProperty(this, brand, { value: true })
  }

  /** Whether `value` is a `PortError`, of this copy of the package or of another. */
  static is(value: unknown): value is PortError {
    if (typeof value !== 'object' || value === null) return false
    try {
      return brand in value
    } catch {
      // A proxy that will not be looked at.
      return false
    }
  }

  /** What may be logged as JSON: every field but the stack and the cause. */
  toJSON(): Record<string, unknown> {
    const { name, code, message, service, port, operation, subject, retryable, outcome } = this
    return {
      name,
      code,
      message,
      service,
      port,
      operation,
      subject,
      retryable,
      outcome,
      retryAfterMs: this.retryAfterMs,
      reason: this.reason,
      details: this.details,
    }
  }
}

const longestSubject = 120

function headline({ service, port, operation, subject }: PortErrorInit): string {
  const where = [service ?? port, operation].filter((part) => part !== undefined).join('.')
  if (where === '') return ''
  if (subject === undefined) return `${where}: `
  const shown = subject.length > longestSubject ? `${subject.slice(0, longestSubject)}…` : subject
  return `${where}(${JSON.stringify(shown)}): `
}

/** Shorthand for the error of a caller's own mistake: `invalid-argument`, thrown before any I/O. */
export function invalidArgument(message: string, details?: Readonly<Record<string, string>>): PortError {
  return new PortError({ code: 'invalid-argument', message, details })
}
