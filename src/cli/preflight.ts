/** `portside preflight`: go or no-go, before traffic. */
import { constants } from 'node:os'
import { PortError } from '../errors.ts'
import { preflight as climb } from '../services/preflight.ts'
import { type PreflightStep, preflightRungs } from '../services/preflight-ladder.ts'
import { type Command, exitCodes, UsageError } from './command.ts'
import { servicesAndOptions } from './declaration.ts'

const ownOptions = { json: { type: 'boolean' }, timeout: { type: 'string' } } as const

/** 10 for the first rung, and one more for each above it. */
const firstRungCode = 10

export const preflight: Command = {
  usage: 'preflight [--services FILE] [--<service>-url URL]… [--timeout MS] [--json]',
  summary:
    'tries configuration, credentials, DNS, TCP, version, one real operation and migrations, in order, before traffic',
  async run(args, { print }) {
    const { services, values } = await servicesAndOptions(args, ownOptions)
    const { json = false } = values
    const interrupted = new AbortController()
    let received: NodeJS.Signals | undefined
    const onSignal = (signal: NodeJS.Signals): void => {
      received = signal
      interrupted.abort(new PortError({ code: 'cancelled', message: `stopped by ${signal}` }))
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
    try {
      const report = await climb(services, {
        args,
        signal: interrupted.signal,
        ...(values.timeout === undefined ? {} : { timeoutMs: milliseconds(values.timeout) }),
        onStep: (step) => {
          if (!json) print(lineOf(step))
        },
      })
      if (json) print(JSON.stringify(report))
      else print(report.go ? 'GO' : `NO-GO: ${report.failed}`)
      if (received !== undefined) return 128 + constants.signals[received]
      return report.failed === undefined
        ? exitCodes.ok
        : firstRungCode + preflightRungs.indexOf(report.failed)
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, onSignal)
    }
  },
}

function milliseconds(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text) && Number(text) <= 600_000) return Number(text)
  throw new UsageError('--timeout is a number of milliseconds, from 1 to 600000')
}

const marks: Readonly<Record<PreflightStep['outcome'], string>> = {
  go: 'go',
  'no-go': 'NO-GO',
  skipped: 'skip',
  'not-tried': '-',
}

/** `go     version      orders    postgresql 17.10, as pinned (17.10)    3.1 ms`; of many lines the first is. */
function lineOf({ rung, service = '', outcome, detail, code, durationMs }: PreflightStep): string {
  const head = `${marks[outcome].padEnd(6)} ${rung.padEnd(11)} ${service.padEnd(14)} `
  const time = outcome === 'go' || outcome === 'no-go' ? ` (${durationMs} ms)` : ''
  return `${head}${code === undefined ? '' : `${code}: `}${detail}${time}`
}
