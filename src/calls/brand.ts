/** Turns whatever was thrown into the one `PortError` that a caller sees: complete, and without secrets. */
import type { Driver } from '../adapter.ts'
import { PortError, type PortErrorInit } from '../errors.ts'
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
}

/** Makes the branded error. One that is branded already keeps its own service, operation and subject. */
export function brandError(
  error: unknown,
  facts: CallFacts,
  driver: Pick<Driver<never>, 'classify'>,
  redactor: Redactor,
): PortError {
  const known = describe(error, facts, driver)
  const branded = new PortError({
    ...known,
    message: redactor.text(known.message),
    service: known.service ?? facts.service,
    port: known.port ?? facts.port,
    operation: known.operation ?? facts.operation,
    subject: known.subject ?? facts.subject,
    outcome: facts.effect === 'read' ? 'not-applied' : known.outcome,
    cause: known.cause === undefined ? undefined : redactor.error(known.cause),
  })
  // The frames that help are those of the place that threw, not those of this function.
  if (PortError.is(error)) {
    const frames = /\n\s+at .*/s.exec(error.stack ?? '')?.[0] ?? ''
    branded.stack = `${branded.name}: ${branded.message}${frames}`
  }
  return branded
}

function describe(
  error: unknown,
  { operation, signal }: CallFacts,
  driver: Pick<Driver<never>, 'classify'>,
): PortErrorInit {
  if (PortError.is(error)) return { ...error, message: error.detail, cause: error.cause }
  const classified = driver.classify?.(error, operation)
  // Clients reject with errors of their own when their signal is aborted; the reason says why it was.
  if (signal?.aborted && PortError.is(signal.reason)) {
    const { code, detail, outcome } = signal.reason
    return { code, message: detail, outcome: classified?.outcome ?? outcome, cause: error }
  }
  if (classified !== undefined) return { ...classified, cause: error }
  const text = error instanceof Error ? error.message : `a ${typeName(error)} was thrown`
  return { code: 'internal', message: `unexpected failure: ${text}`, cause: error }
}
