/** Which hosts a test may reach. Nothing here asks a name server: a name is loopback only if it is `localhost`. */
import { BlockList, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { invalidArgument } from '../errors.ts'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * Whether `host` is an address of this machine's loopback, in any notation of such an address (`::ffff:127.0.0.1`,
 * `0:0:0:0:0:0:0:1`). The wildcards `0.0.0.0` and `::` are not: where they lead depends on the system.
 */
export function isLoopbackAddress(host: string): boolean {
  const address = withoutZone(host)
  const family = isIP(address)
  return family !== 0 && loopback.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** Whether `host` is the name that every system keeps for its loopback. Subdomains of it are not: many systems ask a server. */
export function isLocalhost(host: string): boolean {
  return normalHost(host) === 'localhost'
}

/** The loopback's addresses, as `localhost` resolves to them where nobody asks a server. */
export function loopbackAddresses(family: number): { address: string; family: 4 | 6 }[] {
  const found: { address: string; family: 4 | 6 }[] = []
  if (family !== 6) found.push({ address: '127.0.0.1', family: 4 })
  if (family === 6 || (family === 0 && hasLoopback6())) found.push({ address: '::1', family: 6 })
  return found
}

let loopback6: boolean | undefined

function hasLoopback6(): boolean {
  loopback6 ??= Object.values(networkInterfaces()).some((each) =>
    each?.some(({ address }) => address === '::1'),
  )
  return loopback6
}

/** `host`, or `host:port` with an IPv6 address in brackets, as messages show it and `allow` takes it. */
export function hostAndPort(host: string, port: number | undefined): string {
  if (port === undefined) return host
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
}

/** The hosts that a test has been allowed to reach besides the loopback. */
export class AllowedHosts {
  /** By host: the ports, or `undefined` for all of them. */
  readonly #ports = new Map<string, Set<number> | undefined>()
  /** By address: the allowed names that have resolved to it. */
  readonly #names = new Map<string, Set<string>>()

  /**
   * Allows `entry`: `host`, `host:port`, an IPv6 address (in brackets where a port follows), or a URL, of which host
   * and port count. Without a port, all of the host's ports are allowed.
   * @throws PortError `invalid-argument` without showing the entry: a URL may hold a secret
   */
  add(entry: string | URL): void {
    const { host, port } = parseEntry(entry)
    const ports = this.#ports.get(host)
    if (port === undefined) this.#ports.set(host, undefined)
    else if (ports !== undefined) ports.add(port)
    else if (!this.#ports.has(host)) this.#ports.set(host, new Set([port]))
  }

  /** Whether `host` may be reached on `port`; without a port, whether it may be reached at all. */
  has(host: string, port?: number): boolean {
    const normal = normalHost(host)
    if (this.#hasExactly(normal, port)) return true
    for (const name of this.#names.get(normal) ?? []) if (this.#hasExactly(name, port)) return true
    return false
  }

  /** Notes what an allowed name has resolved to: clients that resolve by themselves go on with the address. */
  learn(name: string, addresses: Iterable<string>): void {
    const normal = normalHost(name)
    if (!this.#ports.has(normal)) return
    for (const address of addresses) {
      const key = normalHost(address)
      const names = this.#names.get(key) ?? new Set()
      this.#names.set(key, names.add(normal))
    }
  }

  #hasExactly(host: string, port: number | undefined): boolean {
    if (!this.#ports.has(host)) return false
    const ports = this.#ports.get(host)
    return ports === undefined || port === undefined || ports.has(port)
  }
}

function parseEntry(entry: unknown): { readonly host: string; readonly port: number | undefined } {
  const text = entry instanceof URL ? entry.href : entry
  if (typeof text !== 'string' || text === '') throw badEntry()
  if (isIP(withoutZone(text)) === 6) return { host: normalHost(text), port: undefined }
  const url = text.includes('://') ? text : `egress://${text}`
  if (!URL.canParse(url)) throw badEntry()
  const { hostname, port, pathname, search, hash, username } = new URL(url)
  const bare = url !== text
  if (hostname === '' || hostname.includes('*')) throw badEntry()
  if (bare && (pathname !== '' || search !== '' || hash !== '' || username !== '')) throw badEntry()
  return { host: normalHost(hostname.replace(/^\[(.*)\]$/, '$1')), port: portOf(url, port) }
}

/** A port that is its scheme's default is none for `URL`. */
function portOf(url: string, port: string): number | undefined {
  if (port !== '') return Number(port)
  if (url.startsWith('https:')) return 443
  return url.startsWith('http:') ? 80 : undefined
}

function badEntry(): Error {
  return invalidArgument(
    'an entry of allow is no host: give it as `host`, `host:port`, `[address]:port` or a URL, without wildcards',
  )
}

/** One spelling for each host: lower case, no trailing dot, an IPv6 address as `URL` writes it. */
function normalHost(host: string): string {
  const lower = withoutZone(host).toLowerCase().replace(/\.$/, '')
  return isIP(lower) === 6 ? new URL(`http://[${lower}]`).hostname.slice(1, -1) : lower
}

function withoutZone(host: string): string {
  return host.replace(/%.*$/, '')
}
