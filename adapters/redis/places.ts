/**
 * A keyspace for each test: a numbered database of the server, and a user who may select no other. A few commands,
 * where a server of its own would cost a process.
 *
 * Who has which number stands in database 1, which no test is given; nor is 0, where a client is until it selects.
 * An owner holds a named connection, which ends with its process, however that ends. Messages of PUBLISH and functions
 * belong to the whole server, so a test's user has neither.
 */
import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { systemClock } from '../../src/calls/clock.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import {
  type PlaceOwner,
  type PlaceSupply,
  placeOwner,
  runsHere,
  type SupplyOptions,
  type TestIsolation,
  type TestPlace,
} from '../../src/servers/isolation.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { classifyRedisError } from './errors.ts'
import { redis } from './index.ts'
import { openRedis } from './open.ts'

const registryNumber = 1
const registryKey = 'portside:places'
/** How many keyspaces of failed tests are kept for each service. */
const kept = 10

/** Tests apart on one Redis, 6.2 or later. The administrator must be allowed everything. */
export const isolation: TestIsolation = {
  async supply(adminUrl, options) {
    const supply = await Supply.open(adminUrl, options)
    try {
      await supply.sweep()
      return supply
    } catch (error) {
      await supply.close()
      throw error
    }
  },
}

/** One entry of the registry. */
interface Entry extends PlaceOwner {
  readonly user: string
  readonly service: string
  readonly state: 'used' | 'kept'
  readonly at: number
  readonly reason?: string
}

/** The highest number that nobody has and that holds nothing: those that are given out by hand begin at 0. */
const claim = `
for number = tonumber(ARGV[1]) - 1, 2, -1 do
  if redis.call('hexists', KEYS[1], number) == 0 then
    redis.call('select', number)
    local size = redis.call('dbsize')
    redis.call('select', ARGV[3])
    if size == 0 then
      redis.call('hset', KEYS[1], number, ARGV[2])
      return number
    end
  end
end
return 0`

/** Changes an entry that is still what it was; answers whether it was. */
const replace = `
if redis.call('hget', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('hset', KEYS[1], ARGV[1], ARGV[3])
return 1`

const empty = `
redis.call('select', ARGV[1])
redis.call('flushdb', 'async')
redis.call('select', ARGV[2])
return redis.call('hdel', KEYS[1], ARGV[1])`

class Supply implements PlaceSupply {
  readonly #url: ServiceUrl
  readonly #options: SupplyOptions
  readonly #owner: PlaceOwner
  readonly #client: Redis
  readonly #end: () => Promise<void>
  #numbers = 0
  #rules: readonly string[] = []
  #closed = false

  private constructor(
    url: ServiceUrl,
    options: SupplyOptions,
    owner: PlaceOwner,
    client: Redis,
    end: () => Promise<void>,
  ) {
    this.#url = url
    this.#options = options
    this.#owner = owner
    this.#client = client
    this.#end = end
  }

  static async open(adminUrl: string, options: SupplyOptions): Promise<Supply> {
    const parsed = ServiceUrl.parse(adminUrl, redis.parameters)
    if (!('url' in parsed)) {
      throw invalidArgument(`the administrator's URL will not do: ${parsed.problems.join('; ')}`)
    }
    const { url } = parsed
    if (!redis.schemes.includes(url.scheme)) {
      throw invalidArgument(`the administrator's URL must begin with redis:, not ${url.scheme}:`)
    }
    if (url.boolean('cluster')) {
      throw invalidArgument('tests cannot be kept apart on a Redis Cluster, which has one keyspace alone')
    }
    const owner = placeOwner()
    const driver = await openRedis(url, { service: ownerName(owner.key), clock: systemClock })
    const client = driver.native as Redis
    const supply = new Supply(url, options, owner, client, () => driver.close())
    try {
      await client.connect()
      await client.select(registryNumber)
      await supply.#learn()
      return supply
    } catch (error) {
      await supply.close()
      const meaning = classifyRedisError(error)
      throw meaning === undefined ? error : new PortError({ ...meaning, operation: 'isolate', cause: error })
    }
  }

  /** What the server has: numbers of databases, and which of the commands that reach beyond one. */
  async #learn(): Promise<void> {
    const [, numbers] = (await this.#client.config('GET', 'databases')) as [string, string]
    this.#numbers = Number(numbers)
    const beyond = ['flushall', 'swapdb', 'move', 'copy', 'migrate', 'function']
    const known = (await this.#client.call('COMMAND', 'INFO', ...beyond)) as readonly unknown[]
    this.#rules = beyond.filter((_, index) => known[index] !== null).map((name) => `-${name}`)
  }

  async take(): Promise<TestPlace> {
    if (this.#closed) throw new PortError({ code: 'closed', message: 'the supply of keyspaces is closed' })
    const user = `portside_${randomBytes(8).toString('hex')}`
    const { service, template } = this.#options
    const entry: Entry = { ...this.#owner, user, service, state: 'used', at: Date.now() }
    const text = JSON.stringify(entry)
    const number = Number(await this.#client.eval(claim, 1, registryKey, this.#numbers, text, registryNumber))
    if (number === 0) {
      throw new PortError({
        code: 'quota-exceeded',
        message: `none of the server's ${this.#numbers} databases is free and empty; start it with more ("databases 4096")`,
      })
    }
    const password = randomBytes(24).toString('base64url')
    await this.#client.call('ACL', 'SETUSER', user, ...this.#userRules(password, number))
    const url = this.#urlOf(user, password, number)
    const drop = once(() => this.#drop(number, user))
    try {
      await template?.build(url)
    } catch (error) {
      await drop().catch(() => {
        // Why it could not be filled is what to tell; the next sweep finds the entry.
      })
      throw error
    }
    return { url, drop, keep: (reason) => this.#keep(number, text, { ...entry, state: 'kept', reason }) }
  }

  #userRules(password: string, number: number): readonly string[] {
    return [
      ...['reset', 'on', `>${password}`, 'allkeys', 'resetchannels', '+@all', '-@admin', ...this.#rules],
      ...['-script', '+script|load', '+script|exists', '-select', `+select|${number}`],
    ]
  }

  #urlOf(user: string, password: string, number: number): string {
    const { scheme, host, port = 6379 } = this.#url
    const caFile = this.#url.text('caFile')
    const query = caFile === undefined ? '' : `?${new URLSearchParams({ caFile })}`
    return `${scheme}://${user}:${password}@${host.includes(':') ? `[${host}]` : host}:${port}/${number}${query}`
  }

  /** The user first, which ends its connections: nothing is written after the keyspace was emptied. */
  async #drop(number: number, user: string): Promise<void> {
    await this.#client.call('ACL', 'DELUSER', user)
    await this.#client.eval(empty, 1, registryKey, number, registryNumber)
  }

  async #keep(number: number, was: string, entry: Entry): Promise<void> {
    await this.#client.call('CLIENT', 'KILL', 'USER', entry.user)
    const now = JSON.stringify({ ...entry, at: Date.now() })
    await this.#client.eval(replace, 1, registryKey, number, was, now)
    const all = (await this.#entries()).filter(
      ({ entry: { state, service } }) => state === 'kept' && service === entry.service,
    )
    const old = all.sort((a, b) => b.entry.at - a.entry.at).slice(kept)
    await this.#dropAll(old)
  }

  /** Empties the keyspaces of processes that have ended: unheard of on this machine, and without a connection. */
  async sweep(): Promise<void> {
    const used = (await this.#entries()).filter(({ entry }) => entry.state === 'used' && !runsHere(entry))
    if (used.length === 0) return
    const clients = String(await this.#client.client('LIST'))
    const connected = new Set([...clients.matchAll(/ name=(\S*)/g)].map(([, name]) => name))
    await this.#dropAll(used.filter(({ entry }) => !connected.has(`portside:${ownerName(entry.key)}`)))
  }

  async #dropAll(found: readonly Found[]): Promise<void> {
    for (const { number, text, entry } of found) {
      // Only one of those who find it may drop it: the number may be another test's a moment later.
      const mine = JSON.stringify({ ...entry, ...this.#owner, state: 'used' })
      const claimed = await this.#client.eval(replace, 1, registryKey, number, text, mine)
      if (claimed === 1) await this.#drop(number, entry.user)
    }
  }

  async #entries(): Promise<readonly Found[]> {
    const all = await this.#client.hgetall(registryKey)
    return Object.entries(all).map(([number, text]) => ({
      number: Number(number),
      text,
      entry: JSON.parse(text) as Entry,
    }))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      if (this.#client.status === 'ready') {
        const own = ({ entry }: Found): boolean => entry.state === 'used' && entry.key === this.#owner.key
        await this.#dropAll((await this.#entries()).filter(own))
      }
    } finally {
      await this.#end()
    }
  }
}

interface Found {
  readonly number: number
  /** The entry as it stands there. */
  readonly text: string
  readonly entry: Entry
}

function ownerName(key: number): string {
  return `tests-${key}`
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= action()
    return done
  }
}
