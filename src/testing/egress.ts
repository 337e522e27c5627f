/**
 * The egress guard: in a test nothing reaches the outside. It stands at the few places that every way out of a
 * process passes — sockets, datagrams, name resolution — and refuses before a packet or a query leaves. What was
 * refused is kept in a ledger, so that code which swallows the error still fails its test.
 *
 * It guards the thread that it is installed in. Child processes, worker threads and native code are out of its
 * reach, and so is what a proxy or a tunnel on loopback does with what it is sent.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { PortError } from '../errors.ts'
import type { Gate } from './egress-gate.ts'
import { AllowedHosts, hostAndPort } from './egress-hosts.ts'
import { installRoutes } from './egress-routes.ts'

/** Which API an attempt came through. */
export type EgressRoute =
  | 'fetch'
  | 'undici'
  | 'websocket'
  | 'http'
  | 'https'
  | 'http2'
  | 'net'
  | 'tls'
  | 'dgram'
  | 'dns'

/** One refused attempt to reach the outside. */
export interface EgressAttempt {
  readonly route: EgressRoute
  /** The host as the caller named it. */
  readonly host: string
  /** `undefined` for a name that was to be resolved. */
  readonly port: number | undefined
  /** The first frame of the stack outside Node, this package and `node_modules`; `undefined` if there is none. */
  readonly caller: string | undefined
  readonly error: PortError
}

export interface EgressGuardOptions {
  /**
   * What may be reached besides the loopback: `host`, `host:port`, `[address]:port`, or a URL, of which host and
   * port count. A name is compared as it is written; what an allowed name resolves to is allowed on its ports.
   * @default [] nothing
   */
  readonly allow?: Iterable<string | URL>
}

/** An installed guard. Disposing it uninstalls it and then asserts that it is clean. */
export interface EgressGuard extends Disposable {
  /** What was refused since the installation and not taken yet, oldest first. */
  readonly attempts: readonly EgressAttempt[]
  /** Allows further hosts until this guard is uninstalled. */
  allow(...hosts: readonly (string | URL)[]): void
  /** Answers the attempts and forgets them, here and in every other guard: for a test that expects them. */
  take(): readonly EgressAttempt[]
  /**
   * @throws AggregateError with the error of every attempt in the ledger, and with route, host, port and caller of
   * each in its message
   */
  assertClean(): void
  /** Puts back what the installation replaced, unless another guard still stands. The ledger stays. Twice is once. */
  uninstall(): void
}

/** All guards of this thread stand or fall together: what one allows is allowed, what is refused is in each ledger. */
const installed = new Set<Installed>()
let uninstallRoutes: (() => void) | undefined

/**
 * Refuses whatever would leave this machine, in this thread, until the guard is uninstalled. Connections, datagrams
 * and name resolution to anything but loopback addresses, `localhost`, Unix sockets and what `allow` names fail with
 * a `PortError` `permission-denied` — where the API wraps errors, as `fetch` does, it is the `cause`.
 *
 * `localhost` is answered without asking a server. A connection under a `lookup` of the caller's own is judged by
 * the addresses that it answers. A name server on loopback may be asked if it does not listen on port 53, where
 * machines keep forwarders. Connections that were open before are left alone.
 *
 * Under msw, whichever of both came first, what a handler answers is no attempt, and what msw lets pass is refused.
 * An address outside, in place of a name, is refused even where there is a handler for it.
 * @throws PortError `invalid-argument` for an entry of `allow` that is no host
 */
export function installEgressGuard(options: EgressGuardOptions = {}): EgressGuard {
  const guard = new Installed(options.allow ?? [])
  installed.add(guard)
  try {
    uninstallRoutes ??= installRoutes(gate)
  } catch (error) {
    guard.uninstall()
    throw error
  }
  return guard
}

class Installed implements EgressGuard {
  readonly hosts = new AllowedHosts()
  ledger: EgressAttempt[] = []

  constructor(allow: Iterable<string | URL>) {
    this.allow(...allow)
  }

  get attempts(): readonly EgressAttempt[] {
    return [...this.ledger]
  }

  allow(...hosts: readonly (string | URL)[]): void {
    for (const host of hosts) this.hosts.add(host)
  }

  take(): readonly EgressAttempt[] {
    const taken = new Set(this.ledger)
    for (const guard of new Set([...installed, this])) {
      guard.ledger = guard.ledger.filter((attempt) => !taken.has(attempt))
    }
    return [...taken]
  }

  assertClean(): void {
    if (this.ledger.length === 0) return
    const lines = this.ledger.map(
      ({ route, host, port, caller }) =>
        `  ${route} to ${hostAndPort(host, port)} ${caller ?? '(no caller known)'}`,
    )
    throw new AggregateError(
      this.ledger.map(({ error }) => error),
      `${this.ledger.length} attempt(s) to reach the outside were refused by the egress guard:\n${lines.join('\n')}`,
    )
  }

  uninstall(): void {
    if (!installed.delete(this) || installed.size > 0) return
    uninstallRoutes?.()
    uninstallRoutes = undefined
  }

  [Symbol.dispose](): void {
    this.uninstall()
    this.assertClean()
  }
}

/** The stack of whoever called `fetch`: by the time it connects, the stack holds nothing of the caller's. */
const fetchCaller = new AsyncLocalStorage<{ readonly stack?: string }>()

const gate: Gate = {
  isActive: () => installed.size > 0,
  allows: (host, port) => [...installed].some(({ hosts }) => hosts.has(host, port)),
  learn(name, addresses) {
    for (const { hosts } of installed) hosts.learn(name, addresses)
  },
  underFetch: (call) => fetchCaller.run(traceHere(), call),
  refuse: (via, host, port) => gate.refusal(via, host, port)(),
  refusal(via, host, port) {
    const here = traceHere().stack ?? ''
    const caller = fetchCaller.getStore()
    const route = routeOf(via, here, caller !== undefined)
    const stack = route === 'fetch' ? (caller?.stack ?? here) : here
    return () => refused(route, host, port, stack)
  },
}

/** Puts an attempt into every ledger and answers its error. */
function refused(route: EgressRoute, host: string, port: number | undefined, stack: string): PortError {
  const target = hostAndPort(host, port)
  const error = new PortError({
    code: 'permission-denied',
    message:
      `${route} to ${target} was refused by the egress guard: a test reaches nothing outside this machine. ` +
      `Use a fake or a server on loopback, or allow it: \`allow: ['${target}']\` in installEgressGuard or in testWith's egress`,
    subject: target,
    details: { route, host, ...(port === undefined ? {} : { port: String(port) }) },
  })
  // Whoever reads it looks for the caller, not for the guard.
  error.stack = [`${error.name}: ${error.message}`, ...framesOf(stack).map((frame) => `    ${frame}`)].join(
    '\n',
  )
  const attempt: EgressAttempt = { route, host, port, caller: callerIn(stack), error }
  for (const guard of installed) guard.ledger.push(attempt)
  return error
}

/** Where the call came from, deep enough to see past a client's own frames. */
function traceHere(): { readonly stack?: string } {
  const trace: { readonly stack?: string } = {}
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 100
  Error.captureStackTrace(trace)
  Error.stackTraceLimit = stackTraceLimit
  return trace
}

/** Which public API led to the socket: only the stack knows. */
function routeOf(via: 'net' | 'tls' | 'dgram' | 'dns', stack: string, underFetch: boolean): EgressRoute {
  if (via === 'dgram' || via === 'dns') return via
  if (stack.includes('node:internal/deps/undici/')) {
    if (underFetch) return 'fetch'
    // The dispatcher that fetch uses can be asked itself.
    return /\.(request|stream|pipeline) \(node:internal\/deps\/undici\//.test(stack) ? 'undici' : 'websocket'
  }
  if (/[\\/]node_modules[\\/]undici[\\/]/.test(stack)) return 'undici'
  // msw connects anew for what it lets pass, out of sight of whoever asked.
  if (underFetch && stack.includes('@mswjs')) return 'fetch'
  if (stack.includes('(node:_http_')) return via === 'tls' ? 'https' : 'http'
  return stack.includes('(node:internal/http2/') ? 'http2' : via
}

const ownFrame = /[\\/]testing[\\/]egress(-gate|-hosts|-names|-routes)?\.[jt]s/

function framesOf(stack: string): string[] {
  const frames = stack.split('\n').map((line) => line.trim())
  return frames.filter((line) => line.startsWith('at ') && !ownFrame.test(line))
}

function callerIn(stack: string): string | undefined {
  const frames = framesOf(stack).filter((line) => !/[( ]node:|<anonymous>\)?$/.test(line))
  return frames.find((line) => !/[\\/]node_modules[\\/]/.test(line)) ?? frames[0]
}
