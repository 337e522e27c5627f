/** Preflight without an app: reads the configuration, opens what it names, climbs the ladder, closes it again. */
import { checkFields } from '../calls/arguments.ts'
import { defaultRetry } from '../calls/retry.ts'
import { PortError } from '../errors.ts'
import { type Config, type ConfigSources, readConfig } from './config.ts'
import { type AnyService, checkServices, type Services } from './declare.ts'
import { type OpenedService, openReal, type RealService } from './open.ts'
import {
  climb,
  type PreflightOptions,
  type PreflightReport,
  type PreflightStep,
  type PreflightSubject,
} from './preflight-ladder.ts'

/**
 * Tries everything that has to hold before an app takes traffic: configuration, credentials, names, ports, versions,
 * one real operation of each adapter, migrations. Changes nothing anywhere.
 * @throws PortError `invalid-argument` for services and options that are none; what is found wrong is in the report
 */
export async function preflight(
  services: Services,
  options: ConfigSources & PreflightOptions = {},
): Promise<PreflightReport> {
  checkServices(services)
  checkFields('options', options, ['env', 'args', 'timeoutMs', 'signal', 'onStep'])
  const { env, args, ...rest } = options
  const started = performance.now()
  const configStep = (outcome: 'go' | 'no-go', detail: string): PreflightStep => {
    const durationMs = Math.round((performance.now() - started) * 10) / 10
    const code = outcome === 'go' ? undefined : 'invalid-argument'
    return { rung: 'config', service: undefined, outcome, detail, code, durationMs }
  }
  let config: Config
  try {
    config = readConfig(services, { ...(env && { env }), ...(args && { args }) })
  } catch (error) {
    if (!PortError.is(error)) throw error
    return climb([], rest, [configStep('no-go', error.detail)])
  }
  const opened: OpenedService[] = []
  const subjects = Object.entries<AnyService>(services).map(([name, service]): PreflightSubject => {
    const how = config.services.get(name)
    if (how?.implementation !== 'real') return { name, real: undefined }
    const real: RealService = { name, service, ...how, secrets: config.secrets }
    return {
      name,
      real,
      async open() {
        const one = await openReal(real, { retry: defaultRetry }, () => {})
        opened.push(one)
        return one
      },
    }
  })
  const total = subjects.length
  try {
    const detail = `${total} ${total === 1 ? 'service is' : 'services are'} configured; externals are ${config.externals}`
    return await climb(subjects, rest, [configStep('go', detail)])
  } finally {
    for (const { guarded, asking } of opened.toReversed()) {
      // What could not be closed is told by no rung, and ends with the process.
      await asking.close().catch(() => {})
      await guarded.close().catch(() => {})
    }
  }
}
