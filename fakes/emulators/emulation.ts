/**
 * Emulators for other processes: several services at once, with their seeds, a folder that keeps their state, one clock
 * and one control API. What `portside emulate` runs; a program may run it too.
 */
import { randomInt } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { checkFields } from '../../src/calls/arguments.ts'
import { type Clock, systemClock } from '../../src/calls/clock.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import { StandingClock } from './control/clock.ts'
import { checkSchema } from './control/schema.ts'
import { EmulationStore } from './control/store.ts'
import { startControl } from './control.ts'
import type {
  Emulation,
  EmulationCredentials,
  EmulationOptions,
  Endpoint,
  Protocol,
  ProtocolName,
} from './emulation/protocol.ts'

export type { EmulationCredentials, Endpoint, ProtocolName } from './emulation/protocol.ts'
export { protocolNames } from './emulation/protocol.ts'

/** One service to emulate. */
export interface EmulatedService {
  readonly service: string
  readonly protocol: ProtocolName
  /** @default the protocol's usual one */
  readonly port?: number
  /** Makes the fake. @default the protocol's own */
  readonly fake?: EmulationOptions['fake']
  /** With s3: the buckets that are there from the start. @default `development` */
  readonly buckets?: readonly string[]
}

export interface EmulateOptions {
  readonly services: readonly EmulatedService[]
  /** The address the emulators listen on. The control API is on loopback always. @default '127.0.0.1' */
  readonly host?: string
  /** @default a free one */
  readonly controlPort?: number
  /** `virtual`: time begins now and stands still until the control API moves it. @default 'system' */
  readonly clock?: 'system' | 'virtual'
  /** The folder that keeps the state. @default none */
  readonly persist?: string
  /** How long a change may be unwritten, in milliseconds. @default 250 */
  readonly debounceMs?: number
  /** A file with what is there at first: JSON, by service. Not for a service whose state was kept. @default none */
  readonly seedFile?: string
  readonly credentials?: EmulationCredentials
  /** Seeds what is left to chance. @default another with each start, so that no id comes twice */
  readonly randomSeed?: number
  /** Called with one line for what a person should know. */
  readonly onProgress?: (message: string) => void
}

/** Emulators that run. */
export interface RunningEmulators {
  readonly services: readonly RunningService[]
  /** Of the control API. */
  readonly controlUrl: string
  /** Saves and stops; answers whether all could be saved. Twice resolves. */
  close(): Promise<boolean>
}

export interface RunningService extends Endpoint {
  readonly service: string
  readonly protocol: ProtocolName
  /** Whether its state is that of an earlier run. */
  readonly restored: boolean
}

// What a person looks back at; programs follow the journal as it grows.
const keptEntries = 10_000

const protocols: Readonly<Record<ProtocolName, () => Promise<Protocol>>> = {
  s3: async () => (await import('./emulation/s3.ts')).s3Protocol,
  smtp: async () => (await import('./emulation/smtp.ts')).smtpProtocol,
  x: async () => (await import('./emulation/x.ts')).xProtocol,
}

const ports: Readonly<Record<string, ProtocolName>> = {
  'object-storage': 's3',
  mailer: 'smtp',
  'social-publisher': 'x',
}

/** The protocol that stands in for the services of a port; `undefined` for a port that has none. */
export function protocolOf(port: string): ProtocolName | undefined {
  return Object.hasOwn(ports, port) ? ports[port] : undefined
}

/**
 * Starts emulators and answers once all of them listen; where one cannot, none stays.
 * @throws PortError `unavailable` where a port is taken; `invalid-argument` for a seed that cannot be; `conflict`,
 * `corrupt` and `permission-denied` for a folder that cannot be used
 */
export async function startEmulators(options: EmulateOptions): Promise<RunningEmulators> {
  const { clock: kind = 'system', onProgress = () => {} } = options
  const clock: Clock = kind === 'virtual' ? new StandingClock(new Date()) : systemClock
  await using opened = new AsyncDisposableStack()
  const store = await openStore(options)
  if (store !== undefined) opened.defer(async () => void (await store.close()))
  const emulations: { readonly emulation: Emulation; readonly restored: boolean }[] = []
  for (const service of options.services) {
    const emulation = await create(service, clock, options)
    opened.defer(() => emulation.close())
    emulations.push({ emulation, restored: (await store?.restore(emulation)) === true })
  }
  if (options.seedFile !== undefined) await seedAll(options.seedFile, emulations, store, onProgress)
  const services = new Map<string, { readonly emulation: Emulation; readonly endpoint: Endpoint }>()
  for (const [index, { emulation }] of emulations.entries()) {
    const { port } = options.services[index] ?? {}
    const endpoint = await emulation.start({
      host: options.host ?? '127.0.0.1',
      port: port ?? (await usualPort(emulation.protocol)),
    })
    opened.defer(() => emulation.stop())
    services.set(emulation.service, { emulation, endpoint })
    emulation.journal.keep(keptEntries)
    emulation.journal.countOn()
    emulation.journal.watch((entry) => {
      if (entry !== undefined && entry.effects.length > 0) store?.changed(emulation)
    })
    emulation.onChange?.(() => store?.changed(emulation))
  }
  const control = await startControl(
    { services, clock, store, startedAt: performance.now() },
    options.controlPort === undefined ? {} : { port: options.controlPort },
  )
  opened.move()
  return {
    services: emulations.map(({ emulation: { service, protocol }, restored }) => ({
      ...(services.get(service)?.endpoint as Endpoint),
      service,
      protocol,
      restored,
    })),
    controlUrl: control.origin,
    close: once(async () => {
      await control.close()
      for (const { emulation } of emulations) await emulation.stop()
      // All of them: not everything that changes is an entry of a journal.
      for (const { emulation } of emulations) store?.changed(emulation)
      const saved = store === undefined || (await store.close())
      for (const { emulation } of emulations) await emulation.close()
      return saved
    }),
  }
}

function once<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let done: Promise<Result> | undefined
  return () => {
    done ??= work()
    return done
  }
}

async function openStore({
  persist,
  debounceMs,
  onProgress,
}: EmulateOptions): Promise<EmulationStore | undefined> {
  if (persist === undefined) return undefined
  return EmulationStore.open(persist, {
    ...(debounceMs !== undefined && { debounceMs }),
    ...(onProgress && { onProgress }),
  })
}

async function create(
  { service, protocol, fake, buckets = ['development'] }: EmulatedService,
  clock: Clock,
  { credentials = {}, randomSeed }: EmulateOptions,
): Promise<Emulation> {
  const { create: make } = await protocols[protocol]()
  return make({ service, clock, seed: randomSeed ?? randomInt(2 ** 31), credentials, buckets, fake })
}

async function usualPort(protocol: ProtocolName): Promise<number> {
  return (await protocols[protocol]()).usualPort
}

async function seedAll(
  file: string,
  emulations: readonly { readonly emulation: Emulation; readonly restored: boolean }[],
  store: EmulationStore | undefined,
  tell: (message: string) => void,
): Promise<void> {
  const seeds = await readSeeds(file)
  const named = (error: unknown): unknown =>
    PortError.is(error)
      ? new PortError({
          code: error.code,
          message: `${file}: ${error.detail}`,
          outcome: 'not-applied',
          cause: error,
        })
      : error
  try {
    checkFields(
      'the seed',
      seeds,
      emulations.map(({ emulation }) => emulation.service),
    )
    // All are looked at before the first is put anywhere.
    for (const { emulation } of emulations) {
      const data = seeds[emulation.service]
      if (data !== undefined) checkSchema(emulation.service, data, emulation.seedSchema)
    }
    for (const { emulation, restored } of emulations) {
      const { service } = emulation
      const data = seeds[service]
      if (data === undefined) continue
      if (restored) {
        tell(`${service}: not seeded, its state is that of an earlier run`)
        continue
      }
      const count = await emulation.seed(service, data, dirname(resolve(file)))
      tell(`${service}: seeded with ${count} ${count === 1 ? 'entry' : 'entries'}`)
      store?.changed(emulation)
    }
  } catch (error) {
    throw named(error)
  }
}

async function readSeeds(file: string): Promise<Readonly<Record<string, unknown>>> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new PortError({
      code: 'invalid-argument',
      message: `the seed ${file} cannot be read (${code})`,
      cause,
    })
  }
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown'
    throw invalidArgument(`the seed ${file} is no JSON: ${why}`)
  }
}
