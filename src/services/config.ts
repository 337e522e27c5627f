/**
 * Configuration: one URL a service, from a flag, a variable or the file a variable names. Explicit, never
 * implied by an environment's name. Every problem is found before anything is opened, and all are told at once.
 */
import { readFileSync } from 'node:fs'
import type { Adapter } from '../adapter.ts'
import { typeName } from '../calls/arguments.ts'
import { Redactor } from '../calls/redact.ts'
import { invalidArgument, PortError } from '../errors.ts'
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
  const { env = process.env, args = process.argv.slice(2) } = sources
  checkSources(env, args)
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
  return { externals: externals ?? 'real', services: configs, secrets }
}

function checkSources(env: unknown, args: unknown): void {
  if (typeof env !== 'object' || env === null)
    throw invalidArgument(`env must be an object; got ${typeName(env)}`)
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || typeof value === 'string') continue
    throw invalidArgument(`env must hold strings; got ${typeName(value)} as ${name}`)
  }
  if (Array.isArray(args) && args.every((arg) => typeof arg === 'string')) return
  throw invalidArgument('args must be an array of strings')
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

/** `undefined` where the variable holds neither, which is a problem of its own and no reason for others. */
function readExternals(
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): Externals | undefined {
  const value = env[externalsVariable]?.trim() ?? ''
  if (value === 'fake') return 'fake'
  if (value === 'real' || value === '') return 'real'
  problems.push(`${externalsVariable} must be "real" (the default) or "fake"`)
  return undefined
}

/** The URL's text; '' where none was given; `undefined` where a problem was reported. */
function readText(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
  args: readonly string[],
  problems: string[],
): string | undefined {
  const flag = readFlag(urlFlag(name), args)
  if (flag === '') problems.push(`${urlFlag(name)} was given without a URL`)
  if (flag !== undefined) return flag === '' ? undefined : flag
  const variable = urlVariable(name)
  const direct = env[variable]?.trim() ?? ''
  const file = env[`${variable}_FILE`]?.trim() ?? ''
  if (direct !== '' && file !== '') {
    problems.push(`${variable} and ${variable}_FILE are both set; keep one`)
    return undefined
  }
  return file === '' ? direct : readUrlFile(`${variable}_FILE`, file, problems)
}

/** The path is never told: a URL, with its password, ends up in the wrong variable easily. */
function readUrlFile(variable: string, path: string, problems: string[]): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').trim()
    if (text !== '') return text
    problems.push(`${variable} names a file that is empty; it must hold one URL`)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    problems.push(`${variable} names a file that cannot be read (${reason}); it must be the path of one`)
  }
  return undefined
}

/** The last one given; '' where it has no value; `undefined` where it was not given. */
function readFlag(flag: string, args: readonly string[]): string | undefined {
  const end = args.indexOf('--')
  const own = end === -1 ? args : args.slice(0, end)
  const index = own.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`))
  const found = own[index]
  if (found === undefined) return undefined
  if (found !== flag) return found.slice(flag.length + 1).trim()
  const value = own[index + 1]?.trim() ?? ''
  return value.startsWith('--') ? '' : value
}

/** The policy table: bounded is always real; unbounded is what `PORTSIDE_EXTERNALS` says, and nothing else. */
function chooseImplementation(
  name: string,
  service: AnyService,
  text: string,
  externals: Externals | undefined,
  problems: string[],
): ServiceConfig | undefined {
  const variable = urlVariable(name)
  const scheme = text === '' ? undefined : (schemeOfText(text) ?? '')
  // Which of the two was meant is not known, so nothing can be said of what stands for the other.
  const undecided = externals === undefined && service.boundary === 'unbounded'
  if (undecided && (scheme === undefined || scheme === 'fake')) return undefined
  if (service.boundary === 'unbounded' && externals === 'fake') {
    if (scheme === undefined || scheme === 'fake') return { implementation: 'fake' }
    if (scheme === '') problems.push(notAUrl(name, service))
    else
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
  if (scheme === '') {
    problems.push(notAUrl(name, service))
    return undefined
  }
  const adapter = service.adapters.find((candidate) => candidate.schemes.includes(scheme))
  if (adapter === undefined) {
    problems.push(`${variable} is of no known scheme; ${expected(name, service)}`)
    return undefined
  }
  const parsed = ServiceUrl.parse(text, adapter.parameters)
  const found = 'url' in parsed ? problemsOf(parsed.url, adapter) : parsed.problems
  problems.push(...found.map((problem) => `${variable}: ${problem}; ${expected(name, service)}`))
  if (found.length > 0 || !('url' in parsed)) return undefined
  return { implementation: 'real', adapter: adapter as Adapter<object>, url: parsed.url }
}

/** What the adapter finds wrong, without what it may have repeated of a secret. */
function problemsOf(url: ServiceUrl, adapter: Adapter<object>): readonly string[] {
  const redactor = new Redactor(url.secrets)
  return (adapter.validate?.(url) ?? []).map((problem) => redactor.text(problem))
}

function notAUrl(name: string, service: AnyService): string {
  return `${urlVariable(name)} is not a URL (white space and odd characters are percent-encoded in one); ${expected(name, service)}`
}

function expected(name: string, service: AnyService): string {
  const [first, ...others] = service.adapters
  const schemes = service.adapters.flatMap((adapter) => adapter.schemes)
  const more = others.length === 0 ? '' : ` or ${others.map((adapter) => adapter.example).join(' or ')}`
  return `expected ${schemes.map((scheme) => `${scheme}:`).join(', ')} such as ${first?.example ?? ''}${more} (flag: ${urlFlag(name)})`
}
