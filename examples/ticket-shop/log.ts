/** Structured logs: one JSON object a line. What runs the program decides where they go. */
import { type CallEvent, PortError } from 'portside'

type Fields = Readonly<Record<string, unknown>>
type Level = 'info' | 'warn' | 'error'
export type Logger = Readonly<Record<Level, (message: string, fields?: Fields) => void>>

/** @param write takes each line. @default the standard output */
export function createLogger(write: (line: string) => void = (line) => process.stdout.write(line)): Logger {
  const at =
    (level: Level) =>
    (message: string, fields: Fields = {}): void => {
      const entry = { time: new Date().toISOString(), level, message, ...fields }
      write(`${JSON.stringify(entry, (_, value) => loggable(value))}\n`)
    }
  return { info: at('info'), warn: at('warn'), error: at('error') }
}

/** For `attach({ observe })`: a line for each call on a service that failed. */
export function logFailures(log: Logger): (event: CallEvent) => void {
  return ({ service, operation, attempts, durationMs, error }) => {
    if (error === undefined) return
    const { code, outcome, retryable, detail } = error
    const took = Math.round(durationMs)
    log.warn('a call failed', {
      service,
      operation,
      code,
      outcome,
      retryable,
      detail,
      attempts,
      durationMs: took,
    })
  }
}

function loggable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  // A PortError is clean of secrets and knows its own form; of others the cause could hold anything.
  if (PortError.is(value)) return value.toJSON()
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack }
  return value
}
