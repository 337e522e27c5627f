/**
 * Configuration: one URL a service, from a flag, a variable or the file a variable names. Explicit, never
 * implied by an environment's name. Every problem is found before anything is opened, and all are told at once.
 */
import { readFileSync } from 'node:fs'
import type { Adapter } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { type AnyService, type Services, urlFlag, urlVariable } from './declare.ts'
import { ServiceUrl, schemeOfText } from './url.ts'

export interface ConfigSources {
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Command-line arguments; only `--<service>-url` ones are read. @default process.argv.slice(2) */
  readonly args?: readonly string[]
}

/** What stands in for an unbounded service. */
export type Externals = 'real' | 'fake'

/** How one service is to be opened. */
export type ServiceConfig =
  | { readonly implementation: 'real'; readonly adapter: Adapter<object>; readonly url: ServiceUrl }
  | { readonly implementation: 'fake' }

export interface Config {
  readonly externals: Externals
  readonly services: ReadonlyMap<string, ServiceConfig>
  /** Every secret in any URL. */
  readonly secrets: readonly string[]
}

const externalsVariable = 'PORTSIDE_EXTERNALS'

/**
 * Reads and checks the configuration of all services. Touches no network.
 * @throws PortError `invalid-argument` that lists every problem: the variable, what is expected, an example
 */
export function readConfig(services: Services, sources: ConfigSources = {}): Config {
  const env = sources.env ?? process.env
  const args = sources.args ?? process.argv.slice(2)
  const problems: string[] = []
  const configs = new Map<string, ServiceConfig>()
  const secrets: string[] = []
  const externals = readExternals(env, problems)
  for (const [name, service] of Object.entries(services)) {
    const text = readText(name, env, args, problems)
    if (text === undefined) continue
    const config = chooseImplementation(name, service, text, externals, problems)
    if (config === undefined) continue
    configs.set(name, config)
    if (config.implementation === 'real') secrets.push(...config.url.secrets)
  }
  if (problems.length > 0) throw configurationError(problems)
  return { externals, services: configs, secrets }
}

function configurationError(problems: readonly string[]): PortError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  return new PortError({
    code: 'invalid-argument',
    operation: 'attach',
    message: `the configuration has ${count}; nothing was opened\n${problems.map((p) => `  - ${p}`).join('\n')}`,
    details: Object.fromEntries(problems.map((problem, index) => [String(index + 1), problem])),
  })
}

function readExternals(env: Readonly<Record<string, string | undefined>>, problems: string[]): Externals {
  const value = env[externalsVariable]
  if (value === 'fake') return 'fake'
  if (value !== undefined && value !== '' && value !== 'real') {
    problems.push(`${externalsVariable} must be "real" (the default) or "fake"`)
  }
  return 'real'
}

/** The URL's text; '' where none was given; `undefined` where a problem was reported. */
function readText(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
  args: readonly string[],
  problems: string[],
): string | undefined {
  const flag = readFlag(urlFlag(name), args)
  if (flag !== undefined) return flag.trim()
  const variable = urlVariable(name)
  const direct = env[variable]?.trim() ?? ''
  const file = env[`${variable}_FILE`] ?? ''
  if (direct !== '' && file !== '') {
    problems.push(`${variable} and ${variable}_FILE are both set; keep one`)
    return undefined
  }
  if (file === '') return direct
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    problems.push(`${variable}_FILE names a file that cannot be read (${reason}): ${file}`)
    return undefined
  }
}

function readFlag(flag: string, args: readonly string[]): string | undefined {
  const end = args.indexOf('--')
  const own = end === -1 ? args : args.slice(0, end)
  const index = own.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`))
  const found = own[index]
  if (found === undefined) return undefined
  return found === flag ? (own[index + 1] ?? '') : found.slice(flag.length + 1)
}

/** The policy table: bounded is always real; unbounded is what `PORTSIDE_EXTERNALS` says, and nothing else. */
function chooseImplementation(
  name: string,
  service: AnyService,
  text: string,
  externals: Externals,
  problems: string[],
): ServiceConfig | undefined {
  const variable = urlVariable(name)
  const scheme = text === '' ? undefined : (schemeOfText(text) ?? 'not a URL')
  if (service.boundary === 'unbounded' && externals === 'fake') {
    if (scheme === undefined || scheme === 'fake') return { implementation: 'fake' }
    problems.push(
      `${variable} is a real URL under ${externalsVariable}=fake; unset it, or set ${externalsVariable}=real`,
    )
    return undefined
  }
  if (scheme === undefined) {
    problems.push(`${variable} is not set; ${expected(name, service)}`)
    return undefined
  }
  if (scheme === 'fake') {
    problems.push(
      service.boundary === 'bounded'
        ? `${variable} is a fake; "${name}" is a datastore of your own and always real; ${expected(name, service)}`
        : `${variable} is a fake under ${externalsVariable}=real; ${expected(name, service)}, or set ${externalsVariable}=fake`,
    )
    return undefined
  }
  const adapter = service.adapters.find((candidate) => candidate.schemes.includes(scheme))
  if (adapter === undefined) {
    problems.push(`${variable} is of no known scheme; ${expected(name, service)}`)
    return undefined
  }
  const parsed = ServiceUrl.parse(text, adapter.parameters)
  const found = 'url' in parsed ? (adapter.validate?.(parsed.url) ?? []) : parsed.problems
  problems.push(...found.map((problem) => `${variable}: ${problem}; ${expected(name, service)}`))
  if (found.length > 0 || !('url' in parsed)) return undefined
  return { implementation: 'real', adapter: adapter as Adapter<object>, url: parsed.url }
}

function expected(name: string, service: AnyService): string {
  const [first, ...others] = service.adapters
  const schemes = service.adapters.flatMap((adapter) => adapter.schemes)
  const more = others.length === 0 ? '' : ` or ${others.map((adapter) => adapter.example).join(' or ')}`
  return `expected ${schemes.map((scheme) => `${scheme}:`).join(', ')} such as ${first?.example ?? ''}${more} (flag: ${urlFlag(name)})`
}
