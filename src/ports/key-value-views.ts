/** What is derived from a `KeyValueStore` alone, whatever is behind it: namespaces, and typed values. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { checkFields, checkInteger, checkKey, readable, typeName } from '../calls/arguments.ts'
import { invalidArgument, PortError } from '../errors.ts'
import type { CallOptions } from '../port.ts'
import type { BulkResult } from './bulk.ts'
import { fromJson, toJson } from './json-values.ts'
import { type DeleteOptions, type KeyValueStore, keyValueLimits, type SetOptions } from './key-value-store.ts'

/** A part of a store, as a store of its own. */
export interface KeyValueNamespace extends KeyValueStore {
  /**
   * Deletes every key of this namespace and no other; resolves with how many there were. Keys written meanwhile
   * may stay.
   * @throws PortError the first failure, where not all could be deleted
   */
  clear(options?: CallOptions): Promise<number>
}

const clearBatch = 1_000

/**
 * The keys of `store` that begin with `prefix`, named without it. Two namespaces never see each other's keys,
 * because a prefix is one word that ends with a colon; a namespace of a namespace lies inside it. Prefix and key
 * together may have 1 024 bytes. Errors name the whole key.
 * @param store an attached store, a fake or another namespace
 * @param prefix such as `tenant-7:`; encode what users name with `encodeURIComponent`
 * @throws PortError `invalid-argument` when the prefix is no such word
 */
export function namespace(store: KeyValueStore, prefix: string): KeyValueNamespace {
  checkKey('the prefix of a namespace', prefix, keyValueLimits.keyBytes / 2)
  if (prefix.indexOf(':') !== prefix.length - 1 || prefix.length === 1) {
    throw invalidArgument(
      'the prefix of a namespace is one word that ends with its only colon, such as "tenant-7:"; else one ' +
        'namespace could lie inside another unnoticed',
    )
  }
  // What is no valid key goes on as it is: the store refuses it, in its own words and under its own name.
  const whole = (key: string): string => (isKey(key) ? prefix + key : key)
  const wholes = (keys: readonly string[]): readonly string[] => eachOf(keys, whole)
  const own = (result: BulkResult): BulkResult => ({
    ...result,
    items: result.items.map((item) => ({ ...item, key: item.key.slice(prefix.length) })),
  })
  const scan = async function* (start: string, ...rest: [CallOptions?]): AsyncGenerator<string> {
    for await (const key of store.scan(start === '' ? prefix : whole(start), ...rest)) {
      yield key.slice(prefix.length)
    }
  }
  return {
    get: (key, ...rest) => store.get(whole(key), ...rest),
    getText: (key, ...rest) => store.getText(whole(key), ...rest),
    getMany: (keys, ...rest) => store.getMany(wholes(keys), ...rest),
    set: (key, ...rest) => store.set(whole(key), ...rest),
    setMany: async (entries, ...rest) =>
      own(
        await store.setMany(
          eachOf(entries, (entry) =>
            Array.isArray(entry) && entry.length === 2 ? [whole(entry[0]), entry[1]] : entry,
          ),
          ...rest,
        ),
      ),
    delete: (key, ...rest) => store.delete(whole(key), ...rest),
    deleteMany: async (keys, ...rest) => own(await store.deleteMany(wholes(keys), ...rest)),
    increment: (key, ...rest) => store.increment(whole(key), ...rest),
    touch: (key, ...rest) => store.touch(whole(key), ...rest),
    expiry: (key, ...rest) => store.expiry(whole(key), ...rest),
    scan,
    async clear(options) {
      let cleared = 0
      for await (const keys of batched(store.scan(prefix, options), clearBatch)) {
        const { items } = await store.deleteMany(keys, options)
        const failed = items.find(({ error }) => error !== undefined)
        if (failed?.error !== undefined) throw failed.error
        cleared += items.length
      }
      return cleared
    },
  }
}

export interface TypedViewOptions {
  /** The namespace that the view keeps to, as of `namespace`. @default the whole store */
  readonly prefix?: string
}

export interface UpdateOptions extends CallOptions {
  /** When the key expires, in milliseconds from the update. @default the expiry that the key has */
  readonly ttlMs?: number
  /** How often it is tried in all while others change the same key. @default 20 */
  readonly attempts?: number
}

/** What a view's `set` takes. To compare and set, use `update`. */
export type TypedSetOptions = Omit<SetOptions, 'ifEquals'>

/**
 * Values of one type, stored as JSON. `Input` is what the schema takes and what is stored; `Output` what it makes
 * of that when it is read. `PortError` `corrupt` where a stored value is no JSON or does not satisfy the schema.
 */
export interface TypedView<Input, Output = Input> {
  /** `undefined` where absent. */
  get(key: string, options?: CallOptions): Promise<Output | undefined>
  /** In the order asked for; `undefined` for what is absent. */
  getMany(keys: readonly string[], options?: CallOptions): Promise<readonly (Output | undefined)[]>
  /** @throws PortError `invalid-argument` for what JSON would alter or the schema refuses; nothing is stored */
  set(key: string, value: Input, options?: TypedSetOptions): Promise<void>
  /** Resolves with whether the key was there. */
  delete(key: string, options?: CallOptions): Promise<boolean>
  /**
   * Replaces the value by what `change` makes of it, unless another changed it meanwhile; then again from the new
   * one. `change` may run several times. Answering `undefined` deletes the key. Resolves with what is stored then.
   * @throws PortError `conflict` when others were faster every time; and whatever `change` throws
   */
  update(
    key: string,
    change: (current: Output | undefined) => Input | undefined | Promise<Input | undefined>,
    options?: UpdateOptions,
  ): Promise<Output | undefined>
  /** Every key that begins with `prefix`, with its value; those gone meanwhile are left out. */
  scan(prefix: string, options?: CallOptions): AsyncIterable<readonly [key: string, value: Output]>
}

const defaultAttempts = 20
const scanBatch = 100

/** `store` as a store of JSON values that `schema` (zod, valibot, arktype or any Standard Schema) describes. */
export function typedView<Schema extends StandardSchemaV1>(
  store: KeyValueStore,
  schema: Schema,
  { prefix }: TypedViewOptions = {},
): TypedView<StandardSchemaV1.InferInput<Schema>, StandardSchemaV1.InferOutput<Schema>> {
  type Input = StandardSchemaV1.InferInput<Schema>
  type Output = StandardSchemaV1.InferOutput<Schema>
  const inner = prefix === undefined ? store : namespace(store, prefix)
  const read = (operation: string, key: string, bytes: Uint8Array): Promise<Output> =>
    readValue(schema, bytes, { operation, subject: key })
  const write = (operation: string, key: string, value: Input) =>
    writeValue(schema, value, { operation, subject: key })

  return {
    async get(key, options) {
      const bytes = await inner.get(key, options)
      return bytes === undefined ? undefined : read('get', key, bytes)
    },
    async getMany(keys, options) {
      const values = await inner.getMany(keys, options)
      return Promise.all(
        values.map((bytes, index) =>
          bytes === undefined ? undefined : read('getMany', keys[index] ?? '', bytes),
        ),
      )
    },
    async set(key, value, options = {}) {
      const { json } = await write('set', key, value)
      checkFields('options', options, ['ttlMs', 'keepTtl', 'ifAbsent', 'signal', 'timeoutMs'])
      await inner.set(key, json, options)
    },
    delete: (key, options) => inner.delete(key, options),
    async update(key, change, options = {}) {
      const {
        ttlMs,
        attempts = defaultAttempts,
        ...call
      } = readable('an option', () => {
        checkFields('options', options, ['ttlMs', 'attempts', 'signal', 'timeoutMs'])
        return { ...options }
      })
      checkInteger('attempts', attempts, { min: 1 })
      if (typeof change !== 'function') {
        throw invalidArgument(`change must be a function; got ${typeName(change)}`)
      }
      const expiry = ttlMs === undefined ? { keepTtl: true } : { ttlMs }
      for (let attempt = 1; attempt <= attempts; attempt += 1) {
        const bytes = await inner.get(key, call)
        const next = await change(bytes === undefined ? undefined : await read('update', key, bytes))
        const stored = next === undefined ? undefined : await write('update', key, next)
        const condition: DeleteOptions = bytes === undefined ? {} : { ifEquals: bytes }
        try {
          if (stored !== undefined) {
            const only = bytes === undefined ? { ifAbsent: true } : condition
            await inner.set(key, stored.json, { ...call, ...expiry, ...only })
          } else if (bytes !== undefined && !(await inner.delete(key, { ...call, ...condition }))) {
            // Gone by itself meanwhile: `change` has seen a value that no longer counts.
            continue
          }
          return stored?.output as Output | undefined
        } catch (error) {
          if (!PortError.is(error) || error.code !== 'precondition-failed') throw error
        }
      }
      throw new PortError({
        code: 'conflict',
        port: 'key-value-store',
        operation: 'update',
        subject: key,
        message: `others changed it each of ${attempts} times; try again later or with more attempts`,
      })
    },
    async *scan(start, options) {
      for await (const keys of batched(inner.scan(start, options), scanBatch)) {
        const values = await inner.getMany(keys, options)
        for (const [index, bytes] of values.entries()) {
          const key = keys[index]
          if (bytes !== undefined && key !== undefined) yield [key, await read('scan', key, bytes)] as const
        }
      }
    },
  }
}

interface Where {
  readonly operation: string
  readonly subject: string
}

async function readValue<Schema extends StandardSchemaV1>(
  schema: Schema,
  bytes: Uint8Array,
  where: Where,
): Promise<StandardSchemaV1.InferOutput<Schema>> {
  const parsed = fromJson(bytes)
  if (parsed === undefined) throw corrupt('the stored value is no JSON', where)
  const result = await schema['~standard'].validate(parsed.value)
  if (result.issues !== undefined) {
    throw corrupt(`the stored value does not satisfy the schema, at ${paths(result.issues)}`, where)
  }
  return result.value as StandardSchemaV1.InferOutput<Schema>
}

/** Checks what a reader would get, not the value itself: a `Date` is a string by then. */
async function writeValue<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: StandardSchemaV1.InferInput<Schema>,
  where: Where,
): Promise<{ readonly json: string; readonly output: StandardSchemaV1.InferOutput<Schema> }> {
  const json = toJson(value)
  const result = await schema['~standard'].validate(JSON.parse(json))
  if (result.issues !== undefined) {
    throw new PortError({
      code: 'invalid-argument',
      port: 'key-value-store',
      ...where,
      message: `the value does not satisfy the schema, at ${paths(result.issues)}`,
    })
  }
  return { json, output: result.value as StandardSchemaV1.InferOutput<Schema> }
}

/** Where a value is wrong. A schema's own messages may repeat the value, so they are left out. */
function paths(issues: readonly StandardSchemaV1.Issue[]): string {
  const shown = issues.slice(0, 5).map(({ path = [] }) => {
    const keys = path.map((part) => String(typeof part === 'object' ? part.key : part).slice(0, 40))
    return keys.length === 0 ? 'the top' : keys.join('.')
  })
  const more = issues.length - shown.length
  return [...new Set(shown)].join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function corrupt(message: string, where: Where): PortError {
  return new PortError({
    code: 'corrupt',
    port: 'key-value-store',
    ...where,
    message,
    outcome: 'not-applied',
  })
}

async function* batched<Item>(items: AsyncIterable<Item>, size: number): AsyncGenerator<readonly Item[]> {
  let batch: Item[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** What `change` makes of each item; what is no array, or cannot be read, goes on as it is, to be refused. */
function eachOf<Item>(items: readonly Item[], change: (item: Item) => Item): readonly Item[] {
  try {
    return Array.isArray(items) ? Array.from(items as readonly Item[], change) : items
  } catch {
    return items
  }
}

function isKey(key: unknown): boolean {
  try {
    checkKey('key', key, keyValueLimits.keyBytes)
    return true
  } catch {
    return false
  }
}
