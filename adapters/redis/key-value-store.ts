/**
 * `KeyValueStore` on plain Redis strings, so that other programs can read them: GET, SET with PX, NX and KEEPTTL,
 * UNLINK, PEXPIRE, PTTL, SCAN; small Lua scripts for what must compare and write in one step. Works on a single
 * server and on a cluster; needs Redis 6.0 or Valkey. For anything else there is `native()`.
 */
import type { Cluster, Redis } from 'ioredis'
import type { DatastoreDriver, ServerIdentity } from '../../src/adapter.ts'
import { checkKey } from '../../src/calls/arguments.ts'
import { PortError } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import { type BulkItem, type BulkResult, bulkResult } from '../../src/ports/bulk.ts'
import {
  type DeleteOptions,
  type IncrementOptions,
  type KeyExpiry,
  type KeyValueInput,
  type KeyValueStore,
  keyValueLimits,
  type SetManyOptions,
  type SetOptions,
} from '../../src/ports/key-value-store.ts'
import { type CommandParts, isCluster, RedisConnection, type Reply } from './connection.ts'
import { classifyRedisError } from './errors.ts'
import { fingerprintRedis } from './fingerprint.ts'
import { escapeGlob } from './glob.ts'
import { identifyRedis } from './identity.ts'
import { deleteIfEquals, increment, persist, type Script, setIfEquals } from './scripts.ts'

export interface RedisKeyValueStoreOptions {
  /** Put before every key, for apps that share a server. Not ioredis' own `keyPrefix`, which a scan ignores. @default '' */
  readonly keyPrefix?: string
}

/**
 * The driver on a client that the app already has; the app closes it.
 * @throws PortError `invalid-argument` for a client that repeats lost commands by itself (`maxRetriesPerRequest`
 * other than 0; on a cluster `retryDelayOnFailover` other than 0) or that has ioredis' own `keyPrefix`
 */
export function redisKeyValueStore(
  client: Redis | Cluster,
  { keyPrefix = '' }: RedisKeyValueStoreOptions = {},
): DatastoreDriver<KeyValueStore> {
  const connection = new RedisConnection(client)
  const { password } = isCluster(client) ? (client.options.redisOptions ?? {}) : client.options
  return {
    calls: new RedisKeyValueStore(connection, keyPrefix),
    native: client,
    secrets: typeof password === 'string' ? [password] : [],
    classify: classifyRedisError,
    async ping({ signal }) {
      const nodes = await connection.primaries(signal)
      await Promise.all(nodes.map((node) => connection.send(['ping'], signal, node)))
    },
    async identify({ signal }): Promise<ServerIdentity> {
      return identifyRedis(connection, signal)
    },
    fingerprint: ({ signal }) => fingerprintRedis(connection, signal),
    async close() {
      connection.release()
    },
  }
}

/** How many commands are under way at once in a call on many keys. */
const batchKeys = 1_000
const batchBytes = 8 * 1_024 * 1_024
/** How many keys of its table a server looks at in one step of a scan. */
const scanCount = 500

/** What the guard hands to each call. */
type Signalled = { readonly signal?: AbortSignal | undefined }

class RedisKeyValueStore implements KeyValueStore {
  readonly #connection: RedisConnection
  readonly #prefix: string

  constructor(connection: RedisConnection, prefix: string) {
    this.#connection = connection
    this.#prefix = prefix
  }

  async get(key: string, options?: CallOptions): Promise<Uint8Array | undefined> {
    return bytesOf(await this.#send(['get', this.#key(key)], options))
  }

  async getText(key: string, options?: CallOptions): Promise<string | undefined> {
    const bytes = await this.get(key, options)
    if (bytes === undefined) return undefined
    const text = textOf(bytes)
    if (text !== undefined) return text
    throw new PortError({ code: 'corrupt', message: 'the value is not UTF-8; read its bytes with get' })
  }

  async getMany(
    keys: readonly string[],
    options?: CallOptions,
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const signal = signalOf(options)
    const values = new Map<string, Uint8Array | undefined>()
    for (const batch of batches([...new Set(keys)], () => 0)) {
      await this.#connection.ready(signal)
      // GET one by one rather than MGET, which spans no slots and calls a list absent.
      const replies = await Promise.all(
        batch.map((key) =>
          this.#connection.sendNow(['get', this.#key(key)], signal).catch((error: unknown) => {
            throw PortError.is(error) ? error : errorOf(error, key)
          }),
        ),
      )
      for (const [index, key] of batch.entries()) values.set(key, bytesOf(replies[index] ?? null))
    }
    return keys.map((key) => values.get(key)?.slice())
  }

  async set(key: string, value: KeyValueInput, options: SetOptions = {}): Promise<void> {
    const { ttlMs, keepTtl, ifAbsent, ifEquals } = options
    const bytes = bufferOf(value)
    if (ifEquals !== undefined) {
      const expiry = keepTtl ? 'keep' : (ttlMs ?? '')
      const wanted = Buffer.from(bufferOf(ifEquals))
      const done = await this.#run(setIfEquals, key, [wanted, bytes, expiry], options)
      if (done === 0) throw conditionFailed('the stored value is another, or absent')
      return
    }
    const reply = await this.#send(
      [
        ...setParts(this.#key(key), bytes, ttlMs),
        ...(keepTtl ? ['KEEPTTL'] : []),
        ...(ifAbsent ? ['NX'] : []),
      ] as unknown as CommandParts,
      options,
    )
    if (reply === null) throw conditionFailed('the key is there already')
  }

  async setMany(
    entries: readonly (readonly [key: string, value: KeyValueInput])[],
    options: SetManyOptions = {},
  ): Promise<BulkResult> {
    const last = new Map(entries)
    const parts = (key: string): CommandParts =>
      setParts(this.#key(key), bufferOf(last.get(key) ?? ''), options.ttlMs)
    const size = (key: string): number => last.get(key)?.length ?? 0
    return this.#each(
      entries.map(([key]) => key),
      parts,
      size,
      options,
    )
  }

  async delete(key: string, options: DeleteOptions = {}): Promise<boolean> {
    const { ifEquals } = options
    if (ifEquals === undefined) return (await this.#send(['unlink', this.#key(key)], options)) === 1
    const done = await this.#run(deleteIfEquals, key, [Buffer.from(bufferOf(ifEquals))], options)
    if (done === -1) throw conditionFailed('the stored value is another')
    return done === 1
  }

  async deleteMany(keys: readonly string[], options?: CallOptions): Promise<BulkResult> {
    return this.#each(
      keys,
      (key) => ['unlink', this.#key(key)],
      () => 0,
      options,
    )
  }

  async increment(key: string, by = 1, options: IncrementOptions = {}): Promise<number> {
    return Number(await this.#run(increment, key, [by, options.ttlMs ?? ''], options))
  }

  async touch(key: string, ttlMs: number | undefined, options?: CallOptions): Promise<boolean> {
    const reply =
      ttlMs === undefined
        ? await this.#run(persist, key, [], options)
        : await this.#send(['pexpire', this.#key(key), ttlMs], options)
    return reply === 1
  }

  async expiry(key: string, options?: CallOptions): Promise<KeyExpiry | undefined> {
    const left = (await this.#send(['pttl', this.#key(key)], options)) as number
    if (left === -2) return undefined
    // In its last fraction of a millisecond a key has 0 left and is still there.
    return { ttlMs: left === -1 ? undefined : Math.max(left, 1) }
  }

  async *scan(prefix: string, options?: CallOptions): AsyncGenerator<string> {
    const signal = signalOf(options)
    const pattern = `${escapeGlob(this.#prefix + prefix)}*`
    // A server gives a key again when its table is resized meanwhile, a cluster when its slot moves.
    const given = new Set<string>()
    for (const node of await this.#connection.primaries(signal)) {
      let cursor = '0'
      do {
        const parts: CommandParts = ['scan', cursor, 'MATCH', pattern, 'COUNT', scanCount, 'TYPE', 'string']
        const [next, keys] = (await this.#connection.send(parts, signal, node)) as readonly [Buffer, Buffer[]]
        cursor = next.toString()
        for (const bytes of keys) {
          const key = nameable(bytes, this.#prefix)
          if (key === undefined || given.has(key)) continue
          given.add(key)
          yield key
        }
      } while (cursor !== '0')
    }
  }

  #key(key: string): string {
    return this.#prefix + key
  }

  #send(parts: CommandParts, options: Signalled | undefined): Promise<Reply> {
    return this.#connection.send(parts, signalOf(options))
  }

  /** Runs a script by its hash, and by its text where the server does not know it yet. */
  async #run(
    { lua, sha }: Script,
    key: string,
    args: readonly (string | number | Buffer)[],
    options: Signalled | undefined,
  ): Promise<Reply> {
    const rest = [1, this.#key(key), ...args] as const
    try {
      return await this.#send(['evalsha', sha, ...rest], options)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return this.#send(['eval', lua, ...rest], options)
    }
  }

  /** One command a key, each key once, each with its own result. Rejects only before the first was sent. */
  async #each(
    keys: readonly string[],
    parts: (key: string) => CommandParts,
    size: (key: string) => number,
    options: Signalled | undefined,
  ): Promise<BulkResult> {
    const signal = signalOf(options)
    const errors = new Map<string, PortError>()
    let lost: unknown
    let sent = false
    for (const batch of batches([...new Set(keys)], size)) {
      try {
        if (lost === undefined) await this.#connection.ready(signal)
      } catch (error) {
        if (!sent) throw error
        lost = error
      }
      if (lost !== undefined) {
        for (const key of batch) errors.set(key, errorOf(lost, key))
        continue
      }
      sent = true
      await Promise.all(
        batch.map((key) =>
          this.#connection.sendNow(parts(key), signal).catch((error: unknown) => {
            errors.set(key, errorOf(error, key))
          }),
        ),
      )
    }
    return bulkResult(keys.map((key): BulkItem => ({ key, error: errors.get(key) })))
  }
}

function setParts(key: string, value: Buffer, ttlMs: number | undefined): CommandParts {
  return ttlMs === undefined ? ['set', key, value] : ['set', key, value, 'PX', ttlMs]
}

/** The key as this port names it, or `undefined` where it cannot. */
function nameable(bytes: Buffer, prefix: string): string | undefined {
  const key = textOf(bytes)?.slice(prefix.length)
  try {
    checkKey('key', key, keyValueLimits.keyBytes)
    return key
  } catch {
    return undefined
  }
}

/** Cut such that no batch holds too many commands or bytes. */
function* batches(keys: readonly string[], size: (key: string) => number): Generator<readonly string[]> {
  let batch: string[] = []
  let bytes = 0
  for (const key of keys) {
    batch.push(key)
    bytes += size(key)
    if (batch.length < batchKeys && bytes < batchBytes) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

function signalOf(options: Signalled | undefined): AbortSignal {
  // The guard always gives one.
  return options?.signal ?? new AbortController().signal
}

function bufferOf(value: KeyValueInput): Buffer {
  return typeof value === 'string'
    ? Buffer.from(value)
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

/** A copy, so that it does not hold on to the buffer that the reply came in. */
function bytesOf(reply: Reply): Uint8Array | undefined {
  return reply === null ? undefined : new Uint8Array(reply as Buffer)
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function conditionFailed(message: string): PortError {
  return new PortError({ code: 'precondition-failed', message })
}

/** What went wrong with one key. The guard adds service and operation. */
function errorOf(error: unknown, subject: string): PortError {
  if (PortError.is(error))
    return new PortError({ ...error, message: error.detail, subject, cause: error.cause })
  const meaning = classifyRedisError(error) ?? { code: 'internal', message: 'unexpected failure' }
  return new PortError({ ...meaning, subject, cause: error })
}
