/** The parity of an environment in which no app runs: opens what the configuration names, asks, closes it again. */
import { noRetry } from '../calls/retry.ts'
import { PortError } from '../errors.ts'
import { type ConfigSources, readConfig } from '../services/config.ts'
import type { AnyService, Services } from '../services/declare.ts'
import { type OpenedService, openReal } from '../services/open.ts'
import { makeParityReport, type ParityOptions, type ParityReport, type ParitySubject } from './report.ts'

/**
 * The report of what the configuration points at. A service that cannot be opened is in it with its problem.
 * @throws PortError `invalid-argument` that lists every problem of the configuration
 */
export async function parityOf(
  services: Services,
  sources: ConfigSources,
  options: ParityOptions = {},
): Promise<ParityReport> {
  const config = readConfig(services, sources)
  const opened: OpenedService[] = []
  try {
    const subjects = await Promise.all(
      Object.entries<AnyService>(services).map(async ([name, service]): Promise<ParitySubject> => {
        const how = config.services.get(name)
        const base = { service: name, port: service.port.name, boundary: service.boundary, pin: undefined }
        if (how?.implementation !== 'real') return { ...base, implementation: 'fake' }
        const pinned =
          service.boundary === 'bounded'
            ? { pin: service.version, engine: service.adapters[0].engine }
            : undefined
        const subject = { ...base, ...pinned, implementation: how.adapter.name }
        try {
          const real = { name, service, ...how, secrets: config.secrets }
          const one = await openReal(real, { retry: noRetry }, () => {})
          opened.push(one)
          return { ...subject, ask: one.asking.port }
        } catch (error) {
          if (!PortError.is(error)) throw error
          return { ...subject, problem: { code: error.code, message: error.detail } }
        }
      }),
    )
    return await makeParityReport(subjects, { bootedAt: undefined, ...options })
  } finally {
    for (const { guarded, asking } of opened.toReversed()) {
      // What could not be closed is of no use to the caller, and ends with the process.
      await asking.close().catch(() => {})
      await guarded.close().catch(() => {})
    }
  }
}
