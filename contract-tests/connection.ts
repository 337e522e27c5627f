/** The way to a service through the app's own declared adapter, with the run's rate, and an end to everything opened. */
import type { Adapter, Driver } from '../src/adapter.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type CallEvent, type Guarded, guard, type Intercept } from '../src/calls/guard.ts'
import { invalidArgument, PortError } from '../src/errors.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { isEmulated } from './emulated.ts'
import { type Connection, type OpenDriver, type Really, wrongPassword } from './places/place.ts'

export interface ConnectOptions<T extends object> {
  readonly service: string
  readonly adapter: Adapter<T>
  readonly url: ServiceUrl
  /** What the place calls everything it makes. */
  readonly name: string
  readonly really?: Really | undefined
  /** The most calls a second. @default no limit */
  readonly ratePerSecond?: number | undefined
  readonly signal: AbortSignal
}

/** A connection that can end all its clients. */
export interface OwnedConnection<T extends object> extends Connection<T> {
  /** Closes every client that is still open, without waiting for calls under way. */
  closeAll(): Promise<void>
  /** Whether what answers is one of this package's emulators. */
  readonly isEmulated: boolean
}

/** Connects, and asks the service whether it is there, takes the credentials and refuses others. */
export async function connectTo<T extends object>(options: ConnectOptions<T>): Promise<OwnedConnection<T>> {
  const { service, adapter, url, signal } = options
  const text = textOf(url, adapter)
  const clients = new Set<Guarded<T>>()
  const intercept = options.ratePerSecond === undefined ? undefined : paced(options.ratePerSecond)
  const open = async (change: (url: URL) => void = () => {}): Promise<OpenDriver<T>> => {
    const changed = new URL(text)
    change(changed)
    const parsed = ServiceUrl.parse(changed.toString(), adapter.parameters)
    if (!('url' in parsed)) throw invalidArgument(`the URL of ${service}: ${parsed.problems.join('; ')}`)
    return adapter.open(parsed.url, { service, clock: systemClock })
  }
  const guarded = (driver: Driver<T>, observe?: (event: CallEvent) => void): Guarded<T> => {
    const client = guard(adapter.port, driver, { service, secrets: url.secrets, intercept, observe })
    clients.add(client)
    return client
  }
  const parameters = new Set(Object.keys(adapter.parameters))
  const ping = async (driver: Driver<T>): Promise<void> => {
    const client = guarded(driver)
    await client.ping().finally(() => client.close())
  }
  await ping(await open())
  const wrong = (address: URL): void => {
    address.password = wrongPassword
  }
  const refuses =
    url.password !== undefined &&
    (await open(wrong)
      .then(ping)
      .then(
        () => false,
        (error: unknown) => PortError.is(error) && error.code === 'unauthenticated',
      ))
  const endpoint = adapter.endpoint?.(url)
  return {
    isEmulated: endpoint !== undefined && (await isEmulated(endpoint)),
    refuses,
    name: options.name,
    adapter: adapter.name,
    parameters,
    canaries: url.secrets,
    really: options.really,
    signal,
    open,
    guard: guarded,
    async closeAll() {
      const left = [...clients]
      clients.clear()
      await Promise.allSettled(left.map((client) => client.close({ drainMs: 1 })))
    },
    async openUnreachable() {
      const driver = await open((address) => {
        // Port 1 is reserved, and nothing listens there.
        if (parameters.has('endpoint')) address.searchParams.set('endpoint', 'http://127.0.0.1:1')
        else {
          address.hostname = '127.0.0.1'
          address.port = '1'
        }
      })
      return { guarded: guarded(driver), canaries: url.secrets }
    },
  }
}

/** The URL as it was written, to change a part of it. */
function textOf<T extends object>(url: ServiceUrl, adapter: Adapter<T>): string {
  const credentials = [url.username, url.password].map((part) => part && encodeURIComponent(part))
  const [user = '', password] = credentials
  const host = url.host.includes(':') ? `[${url.host}]` : url.host
  const text = new URL(
    `${url.scheme}://${user}${password === undefined ? '' : `:${password}`}${user === '' && password === undefined ? '' : '@'}${host}${url.port === undefined ? '' : `:${url.port}`}/${url.path.split('/').map(encodeURIComponent).join('/')}`,
  )
  for (const name of Object.keys(adapter.parameters)) {
    const value = url.text(name)
    if (value !== undefined) text.searchParams.set(name, value)
  }
  if (url.path === '') text.pathname = ''
  return text.toString()
}

/** Lets calls through one after another, evenly. Ends with the call that waits. */
export function paced(perSecond: number): Intercept {
  const everyMs = 1_000 / perSecond
  let next = 0
  return async (call, proceed) => {
    const now = performance.now()
    const at = Math.max(now, next)
    next = at + everyMs
    if (at > now) await systemClock.sleep(at - now, call.signal)
    return proceed()
  }
}
