/** The egress guard before `dns`: names are resolved by nobody outside this machine. */
import dns from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { Callback, Gate, Method } from './egress-gate.ts'
import { isLocalhost, isLoopbackAddress, loopbackAddresses } from './egress-hosts.ts'

/** How one of the two faces of `dns` answers. */
export interface Style {
  /** Whether Node will take these arguments at all. */
  fits(args: readonly unknown[]): boolean
  answer(args: readonly unknown[], answer: Answer): unknown
  /** Calls the original and shows `see` what it answers. */
  watch(self: unknown, original: Method, args: unknown[], see: (answer: unknown) => void): unknown
}

type Answer = { readonly error: Error } | { readonly values: readonly [unknown, ...unknown[]] }

export const byCallback: Style = {
  fits: (args) => typeof args.at(-1) === 'function',
  answer(args, answer) {
    const callback = args.at(-1) as Callback
    if ('error' in answer) process.nextTick(callback, answer.error)
    else process.nextTick(callback, null, ...answer.values)
  },
  watch(self, original, args, see) {
    const callback = args.at(-1) as Callback
    const watching: Callback = (error, ...answer) => {
      if (!error) see(answer[0])
      callback(error, ...answer)
    }
    return original.apply(self, args.with(-1, watching))
  },
}

export const byPromise: Style = {
  fits: () => true,
  async answer(_args, answer) {
    if ('error' in answer) throw answer.error
    const [value, family] = answer.values
    return family === undefined ? value : { address: value, family }
  },
  async watch(self, original, args, see) {
    const answer: unknown = await original.apply(self, args)
    see(answer)
    return answer
  },
}

export interface NameServers {
  getServers(): string[]
}

export function resolveThrough(
  gate: Gate,
  key: string,
  style: Style,
  module: NameServers,
  original: Method,
): Method {
  return function (...args) {
    const [host] = args
    if (typeof host !== 'string' || host === '' || !style.fits(args)) return original.apply(this, args)
    if (key === 'lookup' && isIP(host) !== 0) return original.apply(this, args)
    if (isLocalhost(host)) {
      const answer = localhostAnswer(key, host, args)
      if (answer !== undefined) return style.answer(args, answer)
    }
    if (gate.allows(host)) {
      return style.watch(this, original, args, (answer) => gate.learn(host, addressesIn(answer)))
    }
    if (!key.startsWith('lookup')) {
      const asks =
        typeof (this as NameServers | undefined)?.getServers === 'function' ? (this as NameServers) : module
      if (asks.getServers().every((server) => isOpenServer(gate, server))) return original.apply(this, args)
    }
    return style.answer(args, { error: gate.refuse('dns', host, undefined) })
  }
}

/** Port 53 is not shown; on loopback it is the machine's own forwarder, which asks the outside. */
function isOpenServer(gate: Gate, server: string): boolean {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(server) ?? []
  const host = bracketed ?? plain
  if (host === undefined) return gate.allows(server, 53)
  return isLoopbackAddress(host) || gate.allows(host, Number(port))
}

/** A `lookup` for `localhost` and nothing else. */
export const localhostLookup: LookupFunction = (name, options, callback) => {
  const answer = localhostAnswer('lookup', name, [name, options])
  if (answer !== undefined) byCallback.answer([callback], answer)
}

/** What `localhost` resolves to without a server; `undefined` for records that only a server has. */
function localhostAnswer(key: string, host: string, args: readonly unknown[]): Answer | undefined {
  const [, second] = args
  if (key === 'lookup') {
    const options = (typeof second === 'object' ? second : { family: second }) as dns.LookupOptions | null
    const found = loopbackAddresses(Number(String(options?.family ?? 0).replace(/^IPv/, '')) || 0)
    if ((options?.order ?? dns.getDefaultResultOrder()) === 'ipv6first') found.reverse()
    const [first] = found
    if (options?.all) return { values: [found] }
    return first === undefined ? undefined : { values: [first.address, first.family] }
  }
  const type = key === 'resolve' ? (typeof second === 'string' ? second : 'A') : key
  const family = { A: 4, resolve4: 4, AAAA: 6, resolve6: 6 }[type]
  if (family === undefined) return undefined
  const addresses = loopbackAddresses(0).filter((each) => each.family === family)
  if (addresses.length === 0) {
    return {
      error: Object.assign(new Error(`${key} ENODATA ${host}`), {
        code: 'ENODATA',
        syscall: key,
        hostname: host,
      }),
    }
  }
  const withTtl = (second as { readonly ttl?: unknown } | null | undefined)?.ttl === true
  return { values: [addresses.map(({ address }) => (withTtl ? { address, ttl: 0 } : address))] }
}

/** The addresses in any answer that `dns` gives. */
export function addressesIn(answer: unknown): string[] {
  if (Array.isArray(answer)) return answer.flatMap(addressesIn)
  if (typeof answer === 'string') return [answer]
  const address: unknown = (answer as { readonly address?: unknown } | null)?.address
  return typeof address === 'string' ? [address] : []
}
