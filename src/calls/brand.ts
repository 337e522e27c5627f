/** Turns whatever was thrown into the one `PortError` that a caller sees: complete, and without secrets. */
import type { Classification, Driver } from '../adapter.ts'
import { type Outcome, PortError, type PortErrorInit } from '../errors.ts'
import { typeName } from './arguments.ts'
import type { Redactor } from './redact.ts'

/** What is known of a call before it failed. */
export interface CallFacts {
  readonly service: string | undefined
  readonly port: string
  readonly operation: string
  readonly subject: string | undefined
  /** `write` where the call could have changed something; a failed `read` has changed nothing. */
  readonly effect: 'read' | 'write'
  /** The signal given to the driver, where it was reached. */
  readonly signal?: AbortSignal | undefined
  /** Whether an earlier attempt may have had its effect, which a failure of this one does not undo. */
  readonly uncertain?: boolean | undefined
}

/** Makes the branded error. One that is branded already keeps its own service, operation and subject. */
export function brandError(
  error: unknown,
  facts: CallFacts,
  driver: Pick<Driver<never>, 'classify'>,
  redactor: Redactor,
): PortError {
  const known = describe(error, facts, driver)
  const masked = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : redactor.text(text)
  const details = Object.entries(known.details ?? {}).map(([name, value]) => [name, redactor.text(value)])
  const branded = new PortError({
    ...known,
    message: redactor.text(known.message),
    service: known.service ?? facts.service,
    port: known.port ?? facts.port,
    operation: known.operation ?? facts.operation,
    subject: masked(known.subject ?? facts.subject),
    reason: masked(known.reason),
    details: Object.fromEntries(details),
    outcome: outcomeOf(known, facts),
    cause: known.cause === undefined ? undefined : redactor.error(known.cause),
  })
  // The frames that help are those of the place that threw, not those of this function; save for the reason of an
  // abort, which was made in a timer or a listener.
  if (PortError.is(error) && error !== facts.signal?.reason) {
    const frames = /(\n +at .*)+$/.exec(error.stack ?? '')?.[0] ?? ''
    branded.stack = redactor.text(`${branded.name}: ${branded.message}${frames}`)
  }
  return branded
}

function outcomeOf(known: PortErrorInit, { effect, uncertain }: CallFacts): Outcome | undefined {
  if (effect === 'read') return 'not-applied'
  if (!uncertain) return known.outcome
  const own = new PortError(known).outcome
  return own === 'not-applied' ? 'unknown' : own
}

function describe(
  error: unknown,
  { operation, signal }: CallFacts,
  driver: Pick<Driver<never>, 'classify'>,
): PortErrorInit {
  if (PortError.is(error)) return { ...error, message: error.detail, cause: error.cause }
  const classified = classify(error, operation, driver)
  // Clients reject with errors of their own when their signal is aborted; the reason says why it was.
  if (signal?.aborted && PortError.is(signal.reason)) {
    const { code, detail, outcome } = signal.reason
    const told = classified === undefined ? outcome : new PortError(classified).outcome
    return { code, message: detail, outcome: told, cause: error }
  }
  if (classified !== undefined) return { ...classified, cause: error }
  return { code: 'internal', message: `unexpected failure: ${messageOf(error)}`, cause: error }
}

/** A classification that itself fails must not replace the error it was asked about. */
function classify(
  error: unknown,
  operation: string,
  driver: Pick<Driver<never>, 'classify'>,
): Classification | undefined {
  try {
    return driver.classify?.(error, operation)
  } catch {
    return undefined
  }
}

function messageOf(error: unknown): string {
  try {
    if (error instanceof Error) return String(error.message)
  } catch {
    // An accessor or a proxy that throws: then its kind must do.
  }
  return `a ${typeName(error)} was thrown`
}
