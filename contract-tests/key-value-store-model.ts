/**
 * Random commands on a key-value store, what each answered in a form that can be compared, and the shortest thing that
 * answers them as they should be.
 */
import * as fc from 'fast-check'
import { PortError } from '../src/errors.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { collect } from './expect.ts'

/** Few keys, so that commands meet; some are each other's prefix or would be patterns. */
const keys = ['a', 'a*', 'a?b', 'ab', 'a[b]', 'a\\', 'B', 'é', '😀']
const values = ['', '0', '1', '-7', '9007199254740991', '1.5', ' 1', 'text', 'é', '\u0000\r\n']

type Condition =
  | { readonly type: 'none' }
  | { readonly type: 'absent' }
  | { readonly type: 'equals'; readonly value: string }

export type KeyValueCommand =
  | { readonly type: 'get' | 'expiry'; readonly key: string }
  | { readonly type: 'get-many' | 'delete-many'; readonly keys: readonly string[] }
  | {
      readonly type: 'set'
      readonly key: string
      readonly value: string
      readonly condition: Condition
      readonly expiry: 'none' | 'set' | 'keep'
    }
  | {
      readonly type: 'set-many'
      readonly entries: readonly (readonly [key: string, value: string])[]
      readonly expires: boolean
    }
  | { readonly type: 'delete'; readonly key: string; readonly equals: string | undefined }
  | { readonly type: 'increment'; readonly key: string; readonly by: number; readonly expires: boolean }
  | { readonly type: 'touch'; readonly key: string; readonly expires: boolean }
  | { readonly type: 'scan'; readonly prefix: string }

const key = fc.constantFrom(...keys)
const value = fc.constantFrom(...values)
const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)
const by = fc.constantFrom(1, -1, 0, 7, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER)

/** Sequences of commands. */
export const keyValueCommands: fc.Arbitrary<readonly KeyValueCommand[]> = fc.array(
  fc.oneof(
    fc.record({ type: type('get'), key }),
    fc.record({ type: type('expiry'), key }),
    fc.record({ type: type('get-many'), keys: fc.array(key, { maxLength: 5 }) }),
    {
      weight: 5,
      arbitrary: fc.record({
        type: type('set'),
        key,
        value,
        condition: fc.oneof(
          { weight: 2, arbitrary: fc.record({ type: type('none') }) },
          fc.record({ type: type('absent') }),
          { weight: 2, arbitrary: fc.record({ type: type('equals'), value }) },
        ),
        expiry: fc.constantFrom('none' as const, 'set' as const, 'keep' as const),
      }),
    },
    fc.record({
      type: type('set-many'),
      entries: fc.array(fc.tuple(key, value), { maxLength: 5 }),
      expires: fc.boolean(),
    }),
    fc.record({ type: type('delete'), key, equals: fc.option(value, { nil: undefined }) }),
    fc.record({ type: type('delete-many'), keys: fc.array(key, { maxLength: 5 }) }),
    { weight: 2, arbitrary: fc.record({ type: type('increment'), key, by, expires: fc.boolean() }) },
    fc.record({ type: type('touch'), key, expires: fc.boolean() }),
    fc.record({
      type: type('scan'),
      prefix: fc.constantFrom('', 'a', 'a*', 'a?', 'a[', 'a\\', 'ab', '\u{1f600}', 'z'),
    }),
  ),
  { minLength: 1, maxLength: 30 },
)

/** Asks for all there is to know of a store: after other commands, its whole state. */
export const keyValueState: readonly KeyValueCommand[] = [
  { type: 'scan', prefix: '' },
  ...keys.flatMap((each) => [{ type: 'get', key: each } as const, { type: 'expiry', key: each } as const]),
]

// So long that no run sees the end of it.
const ttlMs = 3_600_000

/** Runs one command; a failure is its code, and of an expiry it counts only whether there is one. */
export async function runKeyValueCommand(store: KeyValueStore, command: KeyValueCommand): Promise<unknown> {
  try {
    return await run(store, command)
  } catch (error) {
    if (!PortError.is(error)) throw error
    return { code: error.code, outcome: error.outcome }
  }
}

async function run(store: KeyValueStore, command: KeyValueCommand): Promise<unknown> {
  switch (command.type) {
    case 'get':
      return store.getText(command.key)
    case 'expiry': {
      const expiry = await store.expiry(command.key)
      if (expiry?.ttlMs === undefined) return expiry
      return { ttlMs: expiry.ttlMs > ttlMs / 2 && expiry.ttlMs <= ttlMs }
    }
    case 'get-many': {
      const found = await store.getMany(command.keys)
      return found.map((bytes) => bytes && Buffer.from(bytes).toString())
    }
    case 'set': {
      const { condition, expiry } = command
      return store.set(command.key, command.value, {
        ...(condition.type === 'absent' ? { ifAbsent: true } : {}),
        ...(condition.type === 'equals' ? { ifEquals: condition.value } : {}),
        ...(expiry === 'set' ? { ttlMs } : {}),
        ...(expiry === 'keep' ? { keepTtl: true } : {}),
      })
    }
    case 'set-many':
      return store.setMany(command.entries, command.expires ? { ttlMs } : {})
    case 'delete':
      return store.delete(command.key, command.equals === undefined ? {} : { ifEquals: command.equals })
    case 'delete-many':
      return store.deleteMany(command.keys)
    case 'increment':
      return store.increment(command.key, command.by, command.expires ? { ttlMs } : {})
    case 'touch':
      return store.touch(command.key, command.expires ? ttlMs : undefined)
    case 'scan':
      return (await collect(store.scan(command.prefix))).sort()
  }
}

/** A map from keys to what is stored; it shares no code with any store. */
export class KeyValueModel {
  readonly #entries = new Map<string, { readonly value: string; readonly expires: boolean }>()

  run(command: KeyValueCommand): unknown {
    const entries = this.#entries
    switch (command.type) {
      case 'get':
        return entries.get(command.key)?.value
      case 'expiry': {
        const entry = entries.get(command.key)
        return entry && { ttlMs: entry.expires ? true : undefined }
      }
      case 'get-many':
        return command.keys.map((each) => entries.get(each)?.value)
      case 'set':
        return this.#set(command)
      case 'set-many':
        for (const [each, content] of command.entries) {
          entries.set(each, { value: content, expires: command.expires })
        }
        return { items: command.entries.map(([each]) => ({ key: each, error: undefined })), ok: true }
      case 'delete': {
        const entry = entries.get(command.key)
        if (entry === undefined) return false
        if (command.equals !== undefined && command.equals !== entry.value) return refused
        return entries.delete(command.key)
      }
      case 'delete-many':
        for (const each of command.keys) entries.delete(each)
        return { items: command.keys.map((each) => ({ key: each, error: undefined })), ok: true }
      case 'increment':
        return this.#increment(command)
      case 'touch': {
        const entry = entries.get(command.key)
        if (entry !== undefined) entries.set(command.key, { ...entry, expires: command.expires })
        return entry !== undefined
      }
      case 'scan':
        return [...entries.keys()].filter((each) => each.startsWith(command.prefix)).sort()
    }
  }

  #set({ key: name, value: content, condition, expiry }: KeyValueCommand & { type: 'set' }): unknown {
    const entry = this.#entries.get(name)
    if (condition.type === 'absent' && entry !== undefined) return refused
    if (condition.type === 'equals' && entry?.value !== condition.value) return refused
    const expires = expiry === 'set' || (expiry === 'keep' && entry?.expires === true)
    this.#entries.set(name, { value: content, expires })
    return undefined
  }

  #increment({ key: name, by: added, expires }: KeyValueCommand & { type: 'increment' }): unknown {
    const entry = this.#entries.get(name)
    const before = entry?.value ?? '0'
    if (!/^(0|-?[1-9]\d*)$/.test(before)) return refused
    const sum = Number(before) + added
    if (!Number.isSafeInteger(sum)) return refused
    this.#entries.set(name, { value: String(sum), expires: entry?.expires ?? expires })
    return sum
  }
}

const refused = { code: 'precondition-failed', outcome: 'not-applied' }
