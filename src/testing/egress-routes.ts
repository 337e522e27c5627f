/**
 * Where the egress guard stands. Everything that connects — http, https, http2, fetch, WebSocket, tls and vendors'
 * clients — ends in `net.Socket.prototype.connect`; datagrams in `dgram.Socket.prototype`; names in `dns`.
 *
 * A replacement does nothing while no guard is installed: another tool may have wrapped it meanwhile, and then it
 * can not be taken out again without taking out theirs.
 */
import dgram from 'node:dgram'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import net, { isIP, type LookupFunction } from 'node:net'
import tls from 'node:tls'
import type { Callback, Gate, Method } from './egress-gate.ts'
import { isLocalhost, isLoopbackAddress } from './egress-hosts.ts'
import { addressesIn, byCallback, byPromise, localhostLookup, resolveThrough } from './egress-names.ts'

/** What each replacement stands for. */
const ours = new WeakMap<Method, PropertyDescriptor>()

/** Replaces every way out. Answers what puts all of it back. */
export function installRoutes(gate: Gate): () => void {
  const undo: (() => void)[] = []
  const replace = (target: object, key: string, make: (original: Method) => Method): void => {
    const descriptor = Object.getOwnPropertyDescriptor(target, key)
    const original = descriptor?.value as Method | undefined
    if (descriptor === undefined || typeof original !== 'function') return
    const restore = (replacement: Method, before: PropertyDescriptor) => () => {
      if (Object.getOwnPropertyDescriptor(target, key)?.value !== replacement) return
      Object.defineProperty(target, key, before)
    }
    const earlier = ours.get(original)
    if (earlier !== undefined) {
      // Another tool had wrapped it when its guard was uninstalled, and has put it back since.
      undo.push(restore(original, earlier))
      return
    }
    const guarded = make(original)
    const replacement: Method = function (...args) {
      return gate.isActive() ? guarded.apply(this, args) : original.apply(this, args)
    }
    dressAs(replacement, original)
    ours.set(replacement, descriptor)
    Object.defineProperty(target, key, { ...descriptor, value: replacement })
    undo.push(restore(replacement, descriptor))
  }

  const systemLookups = new Set<unknown>([undefined, null, dns.lookup])
  replace(net.Socket.prototype, 'connect', (original) => connectThrough(gate, systemLookups, original))
  replace(dgram.Socket.prototype, 'send', (original) => sendThrough(gate, original))
  replace(dgram.Socket.prototype, 'connect', (original) => dgramConnectThrough(gate, original, fail))
  replace(dgram.Socket.prototype, 'connectSync', (original) => dgramConnectThrough(gate, original, thrown))
  replace(dgram, 'createSocket', (original) => createSocketThrough(gate, original))
  for (const [module, style] of [
    [dns, byCallback],
    [dns.promises, byPromise],
  ] as const) {
    for (const target of [module, module.Resolver.prototype]) {
      const keys = Object.getOwnPropertyNames(target).filter((key) => /^(lookup|resolve|reverse)/.test(key))
      for (const key of keys)
        replace(target, key, (original) => resolveThrough(gate, key, style, module, original))
    }
  }
  systemLookups.add(dns.lookup)
  replace(
    globalThis,
    'fetch',
    (original) =>
      function (...args) {
        return gate.underFetch(() => original.apply(this, args))
      },
  )
  syncBuiltinESMExports()

  return () => {
    for (const each of undo.reverse()) each()
    syncBuiltinESMExports()
  }
}

/** Name, length and what `promisify` looks for: a replacement is not to be told from what it replaces. */
function dressAs(replacement: Method, original: object): void {
  const { prototype: _, ...own } = Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap
  Object.defineProperties(replacement, own)
}

// --- Connections

function connectThrough(gate: Gate, systemLookups: ReadonlySet<unknown>, original: Method): Method {
  return function (...args) {
    const options = connectOptions(args)
    // Unix sockets, and arguments for Node to refuse.
    if (options === undefined || options.path || (options.host && typeof options.host !== 'string')) {
      return original.apply(this, args)
    }
    const host = options.host || 'localhost'
    const port = Number(options.port)
    if (isLoopbackAddress(host) || gate.allows(host, port)) return original.apply(this, args)

    const via = this instanceof tls.TLSSocket ? 'tls' : 'net'
    const refuse = (target: string) => gate.refuse(via, target, port)
    const own = systemLookups.has(options.lookup) ? undefined : options.lookup
    const again = (changed: { readonly host: string; readonly lookup: unknown }) => {
      return original.call(this, derived(options, changed), ...callbackOf(args))
    }
    if (isIP(host) === 0 && typeof own === 'function') {
      const isOpen = (address: string) => isLoopbackAddress(address) || gate.allows(address, port)
      return again({ host, lookup: judged(own as LookupFunction, isOpen, refuse) })
    }
    if (isLocalhost(host)) return again({ host, lookup: localhostLookup })
    // By a lookup that fails, Node itself brings the socket to its end, as it does for a name that does not exist. It
    // asks it at once. What stands in between and answers in place of the host, as msw does for what it handles, never
    // asks it, and then nothing was attempted.
    // An address is asked of no lookup, so it is refused even where something would have answered for it.
    const refusal = gate.refusal(via, host, port)
    const error = isIP(host) === 0 ? undefined : refusal()
    const lookup: LookupFunction = (_name, _options, callback) =>
      process.nextTick(callback as Callback, error ?? refusal())
    return again({ host: error === undefined ? host : 'refused.invalid', lookup })
  }
}

/** `options` with some of them changed, and with whatever else they have or inherit. */
function derived(options: object, changed: Readonly<Record<string, unknown>>): object {
  return Object.create(options, Object.getOwnPropertyDescriptors(changed))
}

interface ConnectOptions {
  readonly host?: string
  readonly port?: unknown
  readonly path?: unknown
  readonly lookup?: unknown
}

/** The options among the arguments of `connect`, in any of its forms; `undefined` for a Unix socket. */
function connectOptions(args: readonly unknown[]): ConnectOptions | undefined {
  const [first, second] = args
  // `net.connect` hands on arguments that it has put in order: `[options, callback]`.
  if (Array.isArray(first)) return connectOptions(first)
  if (typeof first === 'object' && first !== null) return first
  if (typeof first === 'string' && !(Number(first) >= 0)) return undefined
  return typeof second === 'string' ? { port: first, host: second } : { port: first }
}

function callbackOf(args: readonly unknown[]): Callback[] {
  const last = Array.isArray(args[0]) ? args[0][1] : args.at(-1)
  return typeof last === 'function' ? [last as Callback] : []
}

/** A caller's own `lookup`, of which every address is judged. */
function judged(
  lookup: LookupFunction,
  isOpen: (address: string) => boolean,
  refuse: (address: string) => Error,
): LookupFunction {
  return (name, options, callback) =>
    lookup(name, options, (error, ...answer) => {
      const closed = error ? undefined : addressesIn(answer[0]).find((address) => !isOpen(address))
      if (closed === undefined) callback(error, ...answer)
      else (callback as Callback)(refuse(closed))
    })
}

// --- Datagrams

function sendThrough(gate: Gate, original: Method): Method {
  return function (...args) {
    const connected = peerOf(this as dgram.Socket)
    const at = args[4] || (args[3] && typeof args[3] !== 'function') ? 4 : 2
    const host = connected?.address ?? args[at]
    const port = connected?.port ?? args[at - 1]
    return throughDatagram(gate, this as dgram.Socket, original, args, connected ? -1 : at, host, port, fail)
  }
}

function dgramConnectThrough(gate: Gate, original: Method, end: End): Method {
  return function (...args) {
    return throughDatagram(gate, this as dgram.Socket, original, args, 1, args[1], args[0], end)
  }
}

function throughDatagram(
  gate: Gate,
  socket: dgram.Socket,
  original: Method,
  args: unknown[],
  hostAt: number,
  host: unknown,
  port: unknown,
  end: End,
): unknown {
  // Without an address it goes to loopback; what is no text is for Node to refuse.
  if (typeof host !== 'string' || host === '') return original.apply(socket, args)
  if (isLoopbackAddress(host) || gate.allows(host, Number(port))) return original.apply(socket, args)
  if (isLocalhost(host) && hostAt >= 0) {
    const address = isUdp6(socket) ? '::1' : '127.0.0.1'
    return original.apply(socket, args.with(hostAt, address))
  }
  const error = gate.refuse('dgram', host, Number(port))
  return end(error, socket, args)
}

/** How a refused call on a datagram socket ends. */
type End = (error: Error, socket: dgram.Socket, args: readonly unknown[]) => void

const fail: End = (error, socket, args) => {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback as Callback, error)
  else process.nextTick(() => socket.emit('error', error))
}

const thrown: End = (error) => {
  throw error
}

function isUdp6(socket: dgram.Socket): boolean {
  return (socket as { readonly type?: unknown }).type === 'udp6'
}

function peerOf(socket: dgram.Socket): { readonly address: string; readonly port: number } | undefined {
  try {
    return socket.remoteAddress()
  } catch {
    return undefined
  }
}

/** A datagram socket asks its own `lookup` even for an address. */
function createSocketThrough(gate: Gate, original: Method): Method {
  return function (options, ...rest) {
    const lookup = (options as { readonly lookup?: unknown } | null | undefined)?.lookup
    if (typeof lookup !== 'function') return original.call(this, options, ...rest)
    const isOpen = (address: string) =>
      !gate.isActive() || isLoopbackAddress(address) || isWildcard(address) || gate.allows(address)
    const refuse = (address: string) => gate.refuse('dgram', address, undefined)
    const changed = derived(options as object, { lookup: judged(lookup as LookupFunction, isOpen, refuse) })
    return original.call(this, changed, ...rest)
  }
}

/** What a socket is bound to when nothing is said; nothing is sent there. */
function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}
