/** `portside emulate`: other people's services on this machine, for programs in any language. */
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { Redactor } from '../calls/redact.ts'
import { type AnyService, type Services, urlVariable } from '../services/declare.ts'
import { isLoopback } from '../services/url.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { loadServices } from './declaration.ts'
import { quoted } from './quoted.ts'
import { emulators } from './rooms.ts'

type Emulators = Awaited<ReturnType<typeof emulators>>
type Service = Parameters<Emulators['startEmulators']>[0]['services'][number]
type Running = Awaited<ReturnType<Emulators['startEmulators']>>

const options = {
  services: { type: 'string' },
  port: { type: 'string', multiple: true },
  host: { type: 'string' },
  'control-port': { type: 'string' },
  seed: { type: 'string' },
  persist: { type: 'string' },
  clock: { type: 'string' },
  'random-seed': { type: 'string' },
  bucket: { type: 'string', multiple: true },
  'access-key-id': { type: 'string' },
  'secret-access-key': { type: 'string' },
  user: { type: 'string' },
  password: { type: 'string' },
  token: { type: 'string' },
} as const

type Values = ReturnType<typeof parse>['values']

export const emulate: Command = {
  usage:
    'emulate [s3|smtp|x]… [--services FILE] [--port [NAME=]N]… [--seed FILE] [--persist FOLDER] [--control-port N] [--clock system|virtual] [--host ADDRESS] [--bucket NAME]…',
  summary:
    'emulates the named services, or the unbounded ones of the declaration, for other programs; prints the variables they need',
  async run(args, terminal) {
    const { values, positionals } = parse(args)
    const { protocolNames, protocolOf, startEmulators } = await emulators()
    const named = positionals.map((name) => {
      const protocol = protocolNames.find((known) => known === name)
      if (protocol === undefined)
        throw new UsageError(
          `"${name.slice(0, 40)}" cannot be emulated; there is ${protocolNames.join(', ')}`,
        )
      return { service: protocol, protocol }
    })
    if (new Set(positionals).size < positionals.length) throw new UsageError('a service was named twice')
    if (named.length > 0 && values.services !== undefined)
      throw new UsageError('name the services to emulate, or give their declaration, not both')
    const services =
      named.length > 0 ? named : await declared(await loadServices(values.services), protocolOf, terminal)
    if (services.length === 0) throw new UsageError('nothing of the declaration can be emulated')
    checkOwners(values, services)
    const clock = values.clock ?? 'system'
    if (clock !== 'system' && clock !== 'virtual') throw new UsageError('--clock is system or virtual')
    const { host = '127.0.0.1', seed: seedFile, persist } = values
    if (!isLoopback(host)) terminal.tell(`listening on ${host}: other machines may reach the emulators`)
    const stopped = new Stop()
    try {
      const running = await startEmulators({
        services: withPorts(services, values, named.length > 0),
        host,
        clock,
        credentials: credentialsOf(values),
        onProgress: terminal.tell,
        ...(values['control-port'] !== undefined && {
          controlPort: wholeNumber('--control-port', values['control-port'], 65_535),
        }),
        ...(values['random-seed'] !== undefined && {
          randomSeed: wholeNumber('--random-seed', values['random-seed'], 2 ** 31 - 1),
        }),
        ...(seedFile !== undefined && { seedFile }),
        ...(persist !== undefined && { persist }),
      })
      show(running, { values, named: named.length > 0 }, terminal)
      await stopped.signal
      const saved = await running.close()
      terminal.tell(
        saved ? (persist === undefined ? 'stopped' : 'saved and stopped') : 'not all could be saved',
      )
      return saved ? exitCodes.ok : exitCodes.failed
    } finally {
      stopped.release()
    }
  },
}

function parse(
  args: readonly string[],
): ReturnType<
  typeof parseArgs<{ args: string[]; options: typeof options; strict: true; allowPositionals: true }>
> {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** The unbounded services of a declaration whose ports have an emulator; what has none is told. */
async function declared(
  services: Services,
  protocolOf: Emulators['protocolOf'],
  { tell }: Terminal,
): Promise<readonly Service[]> {
  const found: Service[] = []
  for (const [service, declaration] of Object.entries<AnyService>(services)) {
    if (declaration.boundary === 'bounded') continue
    const protocol = protocolOf(declaration.port.name)
    if (protocol === undefined)
      tell(`${service}: there is no emulator for the port "${declaration.port.name}"`)
    else found.push({ service, protocol, fake: (await declaration.fake()).fake })
  }
  return found
}

/** Each service with its port: of one named service `--port N`, of several `--port NAME=N`. */
function withPorts(services: readonly Service[], values: Values, named: boolean): readonly Service[] {
  const ports = new Map<string, number>()
  for (const given of values.port ?? []) {
    const [, name, number = ''] = /^(?:([^=]*)=)?(.*)$/s.exec(given) ?? []
    const service = name ?? (services.length === 1 ? services[0]?.service : undefined)
    if (service === undefined) throw new UsageError('of several services, --port says which: --port NAME=N')
    if (!services.some((each) => each.service === service))
      throw new UsageError(`--port names none of ${services.map((each) => each.service).join(', ')}`)
    ports.set(service, wholeNumber('--port', number, 65_535))
  }
  return services.map((each) => {
    // Several services of a declaration may speak one protocol, so none has its usual port.
    const port = ports.get(each.service) ?? (named ? undefined : 0)
    return {
      ...each,
      ...(port !== undefined && { port }),
      ...(values.bucket !== undefined && { buckets: values.bucket }),
    }
  })
}

/** What is of one kind of service only. */
const owners = {
  bucket: 's3',
  'access-key-id': 's3',
  'secret-access-key': 's3',
  user: 'smtp',
  password: 'smtp',
  token: 'x',
} as const satisfies Partial<Record<keyof Values, Service['protocol']>>

/** A flag that would change nothing was meant for something. */
function checkOwners(values: Values, services: readonly Service[]): void {
  for (const [flag, owner] of Object.entries(owners)) {
    const isGiven = values[flag as keyof typeof owners] !== undefined
    if (isGiven && services.every(({ protocol }) => protocol !== owner))
      throw new UsageError(`--${flag} is of ${owner}, which is not emulated here`)
  }
}

function wholeNumber(flag: string, text: string, max: number): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (number <= max) return number
  throw new UsageError(`${flag} takes a whole number from 0 to ${max}`)
}

const credentialFlags = {
  accessKeyId: 'access-key-id',
  secretAccessKey: 'secret-access-key',
  user: 'user',
  password: 'password',
  token: 'token',
} as const

type Credentials = { readonly [K in keyof typeof credentialFlags]?: string }

/** From flags, or from variables such as PORTSIDE_EMULATE_SECRET_ACCESS_KEY. */
function credentialsOf(values: Values): Credentials {
  const given = Object.entries(credentialFlags).flatMap(([name, flag]) => {
    const variable = `PORTSIDE_EMULATE_${flag.replaceAll('-', '_').toUpperCase()}`
    const value = values[flag] ?? process.env[variable]
    return value === undefined || value === '' ? [] : [[name, value]]
  })
  return Object.fromEntries(given)
}

/** What a program needs, as lines that a shell and dotenv understand. */
function show(
  { services, controlUrl }: Running,
  { values, named }: { readonly values: Values; readonly named: boolean },
  { print, tell }: Terminal,
): void {
  const { secretAccessKey, password, token } = credentialsOf(values)
  const secrets = { s3: secretAccessKey, smtp: password, x: token }
  for (const { service, protocol, url, notes, serviceUrl, environment, restored } of services) {
    const name = service === protocol ? service : `${service} (${protocol})`
    print(`# ${name} on ${url}${restored ? ', as it was left' : ''}: ${notes.join('; ')}`)
    // The usual credentials are no secret; those that were given may be.
    const secret = secrets[protocol]
    const redactor = secret === undefined ? undefined : new Redactor([secret])
    const variables = { [urlVariable(service)]: serviceUrl, ...(named && environment) }
    for (const [variable, value] of Object.entries(variables)) {
      print(`${variable}=${quoted(redactor?.text(value) ?? value)}`)
    }
  }
  print('# control API')
  print(`PORTSIDE_CONTROL_URL=${controlUrl}`)
  tell(`ready: ${services.map(({ service }) => service).join(', ')}; Ctrl-C stops`)
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Waits for a signal; a second one does not wait for what is still being saved. */
class Stop {
  readonly signal: Promise<void>
  readonly #listener: (signal: NodeJS.Signals) => void

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.signal = promise
    let asked = false
    this.#listener = (signal) => {
      if (asked) process.exit(128 + constants.signals[signal])
      asked = true
      resolve()
    }
    for (const signal of signals) process.on(signal, this.#listener)
  }

  release(): void {
    for (const signal of signals) process.removeListener(signal, this.#listener)
  }
}
