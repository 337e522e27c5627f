/** `portside verify`: runs the contract of a service's port on whatever its URL points at, and writes evidence. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { Adapter } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { evidenceFolder } from '../parity/evidence.ts'
import { type Config, readConfig } from '../services/config.ts'
import { type AnyService, type Services, urlFlag, urlVariable } from '../services/declare.ts'
import { isLoopback, type ServiceUrl } from '../services/url.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { loadServices, parseCommandLine, servicesOption } from './declaration.ts'
import { type AnyContract, contractOf, type Verification, verification } from './rooms.ts'
import { checkEvidence } from './verify-evidence.ts'
import { daysOf, type Really, rateOf, reallyOf, serverOf } from './verify-options.ts'
import { lineOf, tellReport } from './verify-report.ts'
import { version } from './version.ts'

const options = {
  ...servicesOption,
  out: { type: 'string' },
  subject: { type: 'string' },
  server: { type: 'string' },
  contract: { type: 'string' },
  divergences: { type: 'string' },
  only: { type: 'string' },
  rate: { type: 'string' },
  resume: { type: 'boolean' },
  'max-age': { type: 'string' },
  json: { type: 'boolean' },
  really: { type: 'boolean' },
  sender: { type: 'string' },
  recipient: { type: 'string' },
  account: { type: 'string' },
} as const

type Values = ReturnType<typeof parseCommandLine<typeof options>>['values']

/** Calls a second, where nothing else was said and the service is not on this machine. */
const defaultRate = 50

export const verify: Command = {
  usage:
    'verify SERVICE [--services FILE] [--<service>-url URL] [--out DIR] [--only ID-PREFIX] [--rate N/s] [--resume] [--json] [--server PRODUCT@VERSION] [--contract FILE] [--really …] | verify [SERVICE] --max-age 30d',
  summary:
    'runs the contract of its port on what the URL of SERVICE points at, in a place of its own, and writes evidence; with --max-age checks the evidence there is',
  async run(args, terminal) {
    const named = args[0] !== undefined && !args[0].startsWith('-')
    const flags = named ? args.slice(1) : args
    const { values: loose } = parseArgs({ args: [...flags], options, strict: false })
    const maxAgeDays = loose['max-age'] === undefined ? undefined : daysOf(loose['max-age'])
    const file = typeof loose.services === 'string' ? loose.services : undefined
    const services = await loadServices(file).catch((error: unknown) => {
      // Evidence alone can be checked without a declaration.
      if (maxAgeDays !== undefined && file === undefined && !named && error instanceof UsageError) return {}
      throw error
    })
    const urls = Object.keys(services).map((name) => [urlFlag(name).slice(2), { type: 'string' }] as const)
    const { values } = parseCommandLine(flags, { ...options, ...Object.fromEntries(urls) }) as {
      values: Values
    }
    const service = named ? args[0] : undefined
    if (service !== undefined && !Object.hasOwn(services, service)) {
      throw new UsageError(
        `there is no service "${service.slice(0, 60)}"; there are ${Object.keys(services).join(', ')}`,
      )
    }
    if (maxAgeDays !== undefined) {
      return checkEvidence({ ...values, services, service, maxAgeDays }, terminal)
    }
    if (service === undefined) throw new UsageError('verify needs the name of a service, or --max-age')
    return runVerification(service, services, values, flags, terminal)
  },
}

async function runVerification(
  name: string,
  services: Services,
  values: Values,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const rooms = await verification()
  const service = services[name] as AnyService
  // Everything that the command line says is checked before anything is opened.
  const subject = values.subject ?? rooms.contracts.subjectId({ name: kebab(name) })
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(subject)) throw new UsageError('--subject is kebab-case')
  const server = values.server === undefined ? undefined : serverOf(values.server)
  const rate = values.rate === undefined ? undefined : rateOf(values.rate)
  const divergences = rooms.divergences.loadDivergences(values.divergences)
  const own = values.contract === undefined ? undefined : await loadContract(values.contract, service)
  const contract = own?.contract ?? (await contractOf(service.port.name))
  if (contract === undefined) {
    throw new UsageError(
      `"${service.port.name}" is a port of your own: name the module that exports its contract with --contract FILE`,
    )
  }
  const { only } = values
  const ids = contract.behaviours.map(({ id }) => id)
  if (
    only !== undefined &&
    !ids.some((id) => `${contract.port.name}/${id}`.startsWith(only) || id.startsWith(only))
  ) {
    throw new UsageError(`no behaviour of "${contract.port.name}" has an id that begins so`)
  }
  const really = reallyOf(values, service)
  const makePlace = own?.place ?? (await rooms.places.placeMakerOf(service.port.name)) ?? itself(really)
  const { adapter, url } = attachedTo(name, readConfig({ [name]: service }, { env: process.env, args }))
  const stop = new Stop(terminal)
  try {
    const report = await rooms.verifying.verify({
      contract,
      subject,
      adapter: adapter.name,
      server,
      divergences,
      only,
      resume: values.resume ?? false,
      folder: values.out ?? evidenceFolder,
      portside: version(),
      token: randomBytes(5).toString('hex'),
      signal: stop.signal,
      makePlace,
      connect: (placeName) =>
        rooms.connecting.connectTo({
          service: name,
          adapter,
          url,
          name: placeName,
          really,
          ratePerSecond: rate ?? (isLocal(url) ? undefined : defaultRate),
          signal: stop.signal,
        }),
      onPlace: (description) => terminal.tell(`${name}: verifying in ${description}`),
      onResult: (result, position, total) =>
        terminal.tell(`[${String(position).padStart(String(total).length)}/${total}] ${lineOf(result)}`),
    })
    return tellReport(name, report, values.json ?? false, terminal, stop.exitCode)
  } finally {
    stop.release()
  }
}

type PlaceMaker = NonNullable<Awaited<ReturnType<Verification['places']['placeMakerOf']>>>
function attachedTo(
  name: string,
  config: Config,
): { readonly adapter: Adapter<object>; readonly url: ServiceUrl } {
  const how = config.services.get(name)
  if (how?.implementation === 'real') return { adapter: how.adapter, url: how.url }
  throw new UsageError(
    `${name} is a fake here; verify needs a real one: set PORTSIDE_EXTERNALS=real and ${urlVariable(name)}`,
  )
}

/** A port of the app's own has no place that this package knows. */
function itself(really: Really | undefined): PlaceMaker {
  if (really === undefined) {
    throw new UsageError(
      'the module of --contract exports no "place", so the contract would run on the service itself; --really runs it there',
    )
  }
  return async (connection) => ({
    description: 'the service itself',
    open: async () => {
      const { places } = await verification()
      return places.onService(connection, () => connection.open())
    },
    openUnreachable: connection.openUnreachable,
    remove: async () => {},
  })
}

async function loadContract(
  file: string,
  { port }: AnyService,
): Promise<{ readonly contract: AnyContract; readonly place: PlaceMaker | undefined }> {
  const path = resolve(file)
  if (!existsSync(path)) throw new UsageError(`there is no ${path}`)
  const module = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>
  const contracts = Object.values(module).filter((value) => isContract(value, port.name))
  const [contract, other] = contracts
  if (contract === undefined || other !== undefined) {
    throw new UsageError(
      `${path} exports ${other === undefined ? 'no contract' : 'several contracts'} of the port "${port.name}"; one is needed`,
    )
  }
  const { place } = module
  if (place !== undefined && typeof place !== 'function')
    throw new UsageError(`"place" of ${path} must be a function`)
  return { contract, place: place as PlaceMaker | undefined }
}

/** By its shape: the app's copy of this package need not be the one that runs here. */
function isContract(value: unknown, port: string): value is AnyContract {
  const { port: token, behaviours } = (value ?? {}) as { port?: { name?: unknown }; behaviours?: unknown }
  return token?.name === port && Array.isArray(behaviours)
}

function isLocal(url: ServiceUrl): boolean {
  const endpoint = url.text('endpoint')
  return isLoopback(endpoint === undefined ? url.host : (URL.parse(endpoint)?.hostname ?? ''))
}

function kebab(service: string): string {
  return urlFlag(service).slice(2, -'-url'.length)
}

/** The first signal ends the run in order; the next one ends the process. */
class Stop {
  readonly #controller = new AbortController()
  readonly #terminal: Terminal
  #received: NodeJS.Signals | undefined

  constructor(terminal: Terminal) {
    this.#terminal = terminal
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, this.#listener)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get exitCode(): number {
    return this.#received === undefined ? exitCodes.failed : 128 + constants.signals[this.#received]
  }

  release(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, this.#listener)
  }

  readonly #listener = (signal: NodeJS.Signals): void => {
    this.#received ??= signal
    this.#terminal.tell('stopping: the place is being removed')
    this.#controller.abort(new PortError({ code: 'cancelled', message: `stopped by ${signal}` }))
  }
}
