/** Keys with values that may expire: sessions, idempotency keys, counters, caches. */
import { byteLength, checkBytes, checkInteger, checkKey, checkText, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { type BulkResult, brandedBulk } from './bulk.ts'

/** Bytes, or text that is stored as its UTF-8 bytes. */
export type KeyValueInput = Uint8Array | string

/** What no store has to take. A key is 1 to `keyBytes` long, a value 0 to `valueBytes`, a TTL 1 to `ttlMs`. */
export const keyValueLimits = {
  /** In UTF-8. */
  keyBytes: 1_024,
  /** 32 MiB. Larger things belong into object storage. */
  valueBytes: 33_554_432,
  /** 100 years of 365.25 days. */
  ttlMs: 3_155_760_000_000,
} as const

export interface SetOptions extends CallOptions {
  /**
   * When the key expires, in whole milliseconds from now, set by the same command as the value: there is no
   * moment at which the value is there without it.
   * @default never; an earlier expiry is cleared
   */
  readonly ttlMs?: number
  /** Keeps the expiry that the key has. Not together with `ttlMs`. @default false */
  readonly keepTtl?: boolean
  /** Only where the key is absent or expired; else `precondition-failed`. Not together with `ifEquals`. @default false */
  readonly ifAbsent?: boolean
  /** Only where the stored value is byte for byte this one; else, and where it is absent, `precondition-failed`. */
  readonly ifEquals?: KeyValueInput
}

export interface DeleteOptions extends CallOptions {
  /** Only where the stored value is byte for byte this one; else `precondition-failed`. Absent is still no error. */
  readonly ifEquals?: KeyValueInput
}

export interface IncrementOptions extends CallOptions {
  /** Applied only where the call creates the key. @default never */
  readonly ttlMs?: number
}

export interface SetManyOptions extends CallOptions {
  /** For every key alike. @default never; earlier expiries are cleared */
  readonly ttlMs?: number
}

/** How long a key has. */
export interface KeyExpiry {
  /** Milliseconds left, at least 1; `undefined` where the key never expires. */
  readonly ttlMs: number | undefined
}

/**
 * Keys are text of 1 to 1 024 UTF-8 bytes without NUL, kept as they are: no trimming, no Unicode normalisation,
 * nothing special about `/`, `*` or `..`. Values are up to 32 MiB of any bytes. An expired key is an absent one,
 * everywhere. Every operation on one key is atomic; what touches many keys is not atomic over them.
 *
 * A command that is on its way cannot be called back: cancelled or timed out after it was sent, a write's
 * `outcome` is `unknown`. A key that holds something other than a plain value (written by another program: a
 * list, a hash) is `precondition-failed` to read or compare; `set` without a condition and `delete` replace it.
 *
 * A write that was acknowledged survives what the store's own replication does, and no more: Redis replicates after
 * it has acknowledged, so where a replica takes over, the last writes of the one that died may be gone.
 */
export interface KeyValueStore {
  /** The value's bytes, the caller's own copy; `undefined` where absent or expired. */
  get(key: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /** The value as text; `undefined` where absent; `corrupt` where it is not UTF-8. */
  getText(key: string, options?: CallOptions): Promise<string | undefined>
  /**
   * One entry a key asked for, in that order; `undefined` for what is absent. A key asked for twice is there
   * twice. No number of keys is too large, but all values are in memory at once. Fails as a whole.
   */
  getMany(keys: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]>
  /** Stores a copy of `value`; overwrites, and clears an expiry unless told otherwise. */
  set(key: string, value: KeyValueInput, options?: SetOptions): Promise<void>
  /**
   * Stores many values, each with its own result. Of a key that stands there twice, the last value wins and both
   * items have its result. Rejects only where nothing at all was sent; cancelled or timed out later, the items
   * say which were done (no error), which may have been (`unknown`) and which were not.
   */
  setMany(
    entries: readonly (readonly [key: string, value: KeyValueInput])[],
    options?: SetManyOptions,
  ): Promise<BulkResult>
  /**
   * Resolves with whether the key was there; absent is no error, with `ifEquals` neither. (After a lost answer
   * and a retry it may say `false` of a key that the first attempt deleted.)
   */
  delete(key: string, options?: DeleteOptions): Promise<boolean>
  /** Deletes many keys, with results as of `setMany`. A key that is absent succeeds. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<BulkResult>
  /**
   * Adds `by` (1 where it is left out) atomically, from 0 where absent, and resolves with the sum; keeps the
   * expiry. The value is the number in decimal digits. A value that is no whole number, and a sum beyond
   * `Number.MAX_SAFE_INTEGER` on either side, is `precondition-failed` and changes nothing.
   */
  increment(key: string, by?: number, options?: IncrementOptions): Promise<number>
  /**
   * Sets the expiry of a key to `ttlMs` from now and keeps its value; `undefined` takes the expiry away.
   * Resolves with whether the key was there.
   */
  touch(key: string, ttlMs: number | undefined, options?: CallOptions): Promise<boolean>
  /** How long the key has left; `undefined` where it is absent. */
  expiry(key: string, options?: CallOptions): Promise<KeyExpiry | undefined>
  /**
   * Every key of a plain value that begins with `prefix`, each once, in no promised order; `''` gives all. Keys
   * there from start to end are given; those written or deleted meanwhile may or may not be. Leaving early frees
   * everything. It remembers the keys it gave, so its memory grows with their number (not with their values).
   * Foreign keys that this port could not name (not UTF-8, too long, with NUL) are left out.
   */
  scan(prefix: string, options?: CallOptions): AsyncIterable<string>
}

type Given = Readonly<Record<string, unknown>>

/** The port of keys with values that may expire. */
export const KeyValueStore: Port<KeyValueStore> = definePort<KeyValueStore>({
  name: 'key-value-store',
  operations: {
    get: { kind: 'call', effect: 'read', idempotent: true, arity: 1, check: checkStoreKey, subject: first },
    getText: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check: checkStoreKey,
      subject: first,
    },
    getMany: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check: checkKeys,
      copy: ([keys]) => [[...keys]],
    },
    set: {
      kind: 'call',
      effect: 'write',
      // After a lost answer, a condition that held once is met by one's own write.
      idempotent: (_key, _value, options: Given = {}) =>
        options.ifAbsent !== true && !('ifEquals' in options),
      arity: 2,
      options: ['ttlMs', 'keepTtl', 'ifAbsent', 'ifEquals'],
      check(key, value, options) {
        checkStoreKey(key)
        checkValue('value', value)
        checkTtl(options)
        checkBoolean('keepTtl', options.keepTtl)
        checkBoolean('ifAbsent', options.ifAbsent)
        if ('ifEquals' in options) checkValue('ifEquals', options.ifEquals)
        refuseBoth(options, 'ttlMs', 'keepTtl')
        refuseBoth(options, 'ifAbsent', 'ifEquals')
      },
      subject: first,
      copy: ([key, value]) => [key, ownValue(value)],
    },
    setMany: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      options: ['ttlMs'],
      check(entries, options) {
        checkEntries(entries)
        checkTtl(options)
      },
      copy: ([entries]) => [entries.map(([key, value]) => [key, ownValue(value)])],
      output: brandedBulk,
    },
    delete: {
      kind: 'call',
      effect: 'write',
      idempotent: (_key, options: Given = {}) => !('ifEquals' in options),
      arity: 1,
      options: ['ifEquals'],
      check(key, options) {
        checkStoreKey(key)
        if ('ifEquals' in options) checkValue('ifEquals', options.ifEquals)
      },
      subject: first,
    },
    deleteMany: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      check: checkKeys,
      copy: ([keys]) => [[...keys]],
      output: brandedBulk,
    },
    increment: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 2,
      options: ['ttlMs'],
      check(key, by, options) {
        checkStoreKey(key)
        if (by !== undefined) checkInteger('by', by)
        checkTtl(options)
      },
      subject: first,
      copy: ([key, by = 1]) => [key, by],
    },
    touch: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 2,
      check(key, ttlMs) {
        checkStoreKey(key)
        checkTtl({ ttlMs })
      },
      subject: first,
    },
    expiry: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check: checkStoreKey,
      subject: first,
    },
    scan: {
      kind: 'stream',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check(prefix) {
        checkText('prefix', prefix)
        if (prefix !== '') checkKey('prefix', prefix, keyValueLimits.keyBytes)
      },
      subject: first,
    },
  },
})

function first(key: unknown): string {
  return key as string
}

function checkStoreKey(key: unknown): void {
  checkKey('key', key, keyValueLimits.keyBytes)
}

function checkKeys(keys: unknown): void {
  if (!Array.isArray(keys)) throw invalidArgument(`keys must be an array; got ${typeName(keys)}`)
  // By index, so that a hole is seen as the undefined that it is.
  for (let index = 0; index < keys.length; index += 1) {
    checkKey(`keys[${index}]`, keys[index], keyValueLimits.keyBytes)
  }
}

function checkEntries(entries: unknown): void {
  if (!Array.isArray(entries)) throw invalidArgument(`entries must be an array; got ${typeName(entries)}`)
  for (let index = 0; index < entries.length; index += 1) {
    const entry: unknown = entries[index]
    if (!Array.isArray(entry) || entry.length !== 2) {
      throw invalidArgument(`entries[${index}] must be an array of key and value; got ${typeName(entry)}`)
    }
    checkKey(`the key of entries[${index}]`, entry[0], keyValueLimits.keyBytes)
    checkValue(`the value of entries[${index}]`, entry[1])
  }
}

function checkValue(name: string, value: unknown): void {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw invalidArgument(`${name} must be a string or a Uint8Array; got ${typeName(value)}`)
  }
  if (typeof value === 'string') checkText(name, value)
  else checkBytes(name, value)
  const bytes = typeof value === 'string' ? byteLength(value) : value.byteLength
  if (bytes > keyValueLimits.valueBytes) {
    throw invalidArgument(`${name} is ${bytes} bytes long; at most ${keyValueLimits.valueBytes} are possible`)
  }
}

function checkTtl({ ttlMs }: Given): void {
  if (ttlMs !== undefined) checkInteger('ttlMs', ttlMs, { min: 1, max: keyValueLimits.ttlMs })
}

function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalidArgument(`${name} must be true or false; got ${typeName(value)}`)
  }
}

function refuseBoth(options: Given, one: string, other: string): void {
  const given = (name: string): boolean => options[name] !== undefined && options[name] !== false
  if (given(one) && given(other))
    throw invalidArgument(`${one} and ${other} do not go together; give one of them`)
}

function ownValue(value: KeyValueInput): KeyValueInput {
  return typeof value === 'string' ? value : new Uint8Array(value)
}
