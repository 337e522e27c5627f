/** Finds and loads the app's declaration of its services. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { AnyService, Services } from '../services/declare.ts'
import { urlFlag } from '../services/declare.ts'
import { parseArguments } from './arguments.ts'
import { UsageError } from './command.ts'
import { projectDeclaration } from './project.ts'

/** The `--services FILE` option of every command. */
export const servicesOption = { services: { type: 'string' } } as const

/**
 * Loads the declaration from `file`, from where the app's `package.json` says
 * (`"portside": { "services": "./services.ts" }`), or from one of the usual places; from below the project's folder too.
 * @throws UsageError where there is none, or the module exports none
 */
export async function loadServices(file: string | undefined): Promise<Services> {
  const path = file === undefined ? projectDeclaration() : resolve(file)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found?.isFile() !== true) {
    throw new UsageError(
      `${found === undefined ? `there is no ${path}` : `${path} is no file`}; --services names the module that exports "services"`,
    )
  }
  const module = await load(path)
  const services = module.services
  if (!isServices(services)) {
    throw new UsageError(
      `${path} exports no "services"; write: export const services = defineServices({ … })`,
    )
  }
  return services
}

/** Parses a command's arguments: its own options, and one URL flag a service. */
export function parseCommandLine<const O extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: O,
): ReturnType<typeof parseArgs<{ args: string[]; options: O; strict: true; allowPositionals: false }>> {
  return parseArguments(args, options, false)
}

/** Loads the declaration that the arguments name, and checks that they hold nothing but it and URL flags. */
export async function servicesFromArguments(args: readonly string[]): Promise<Services> {
  return (await servicesAndOptions(args, {})).services
}

/** As {@link servicesFromArguments}, for a command with options of its own. */
export async function servicesAndOptions<const O extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: O,
): Promise<{
  readonly services: Services
  readonly values: ReturnType<typeof parseCommandLine<O>>['values']
}> {
  const { values } = parseArgs({ args: [...args], options: servicesOption, strict: false })
  const services = await loadServices(typeof values.services === 'string' ? values.services : undefined)
  const flags = Object.keys(services).map((name) => [urlFlag(name).slice(2), { type: 'string' }] as const)
  // A command's own option comes last, so that no service can take its name.
  const all = { ...Object.fromEntries(flags), ...servicesOption, ...options }
  const parsed = parseCommandLine(args, all)
  return { services, values: parsed.values as ReturnType<typeof parseCommandLine<O>>['values'] }
}

async function load(path: string): Promise<{ readonly services?: unknown }> {
  try {
    return (await import(pathToFileURL(path).href)) as { services?: unknown }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_UNKNOWN_FILE_EXTENSION') {
      throw new UsageError(
        `Node ${process.version} does not run TypeScript; ${path} needs Node 22.18 or newer`,
      )
    }
    throw loadingFailed(path, error)
  }
}

/** Of where it happened only the app's own part is told: how Node loads a module is no help. */
function loadingFailed(path: string, cause: unknown): Error {
  const told = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  const lines = told
    .split('\n')
    .filter((line) => !/^ {4}at .*(node:internal|declaration\.[jt]s|ModuleJob)/.test(line))
    .filter((line) => !(line.startsWith('    at ') && line.includes(import.meta.dirname)))
  const failed = new Error(`${path} cannot be loaded`, { cause })
  failed.stack = [`${path} cannot be loaded:`, ...lines].join('\n')
  return failed
}

/** By its shape: the app's copy of this package need not be the one that runs here. */
function isServices(value: unknown): value is Services {
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).every((service: Partial<AnyService> | null | undefined) => {
    return service?.boundary === 'bounded' || service?.boundary === 'unbounded'
  })
}
