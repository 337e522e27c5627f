/** Keys with values that may expire: sessions, idempotency keys, counters, caches. */
import type { CallOptions } from '../port.ts'
import type { BulkResult } from './bulk.ts'

/** Bytes, or text that is stored as its UTF-8 bytes. */
export type KeyValueInput = Uint8Array | string

export interface SetOptions extends CallOptions {
  /** When the key expires, in milliseconds from now, set atomically with the value. @default never; an earlier expiry is cleared */
  readonly ttlMs?: number
  /** Only where the key is absent; else `precondition-failed`. */
  readonly ifAbsent?: boolean
  /** Only where the stored value is byte for byte this one; else, and where it is absent, `precondition-failed`. */
  readonly ifEquals?: KeyValueInput
}

export interface KeyValueStore {
  /** The value's bytes; `undefined` where absent or expired. */
  get(key: string, options?: CallOptions): Promise<Uint8Array | undefined>
  /** The value as text; `undefined` where absent; `corrupt` where it is not UTF-8. */
  getText(key: string, options?: CallOptions): Promise<string | undefined>
  /** One entry a key asked for, in that order, across cluster slots; `undefined` for what is absent. */
  getMany(keys: readonly string[], options?: CallOptions): Promise<readonly (Uint8Array | undefined)[]>
  set(key: string, value: KeyValueInput, options?: SetOptions): Promise<void>
  /** Not atomic over the keys; each key has its own result. */
  setMany(
    entries: readonly (readonly [key: string, value: KeyValueInput])[],
    options?: CallOptions & { readonly ttlMs?: number },
  ): Promise<BulkResult>
  /** Resolves with whether the key was there. Absent is no error. */
  delete(key: string, options?: CallOptions & { readonly ifEquals?: KeyValueInput }): Promise<boolean>
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<BulkResult>
  /** Adds `by` atomically, from 0 where absent; keeps the expiry. `ttlMs` is applied only where it creates the key. */
  increment(key: string, by?: number, options?: CallOptions & { readonly ttlMs?: number }): Promise<number>
  /** Sets the expiry of a key and keeps its value; `undefined` takes the expiry away. Resolves with whether the key was there. */
  touch(key: string, ttlMs: number | undefined, options?: CallOptions): Promise<boolean>
  /** `undefined` where the key is absent; else the milliseconds left, `undefined` inside where it never expires. */
  expiry(key: string, options?: CallOptions): Promise<{ readonly ttlMs: number | undefined } | undefined>
  /** Every key that begins with `prefix`, each once, in no promised order. */
  scan(prefix: string, options?: CallOptions): AsyncIterable<string>
}
