/** Bodies of bytes on their way in: copied or wrapped, and held to the size and checksum they were said to have. */
import { createHash, type Hash } from 'node:crypto'
import { invalidArgument, PortError } from '../errors.ts'
import type { CallScope } from '../port.ts'
import { checkIterator, checkIteratorResult, checkText, typeName } from './arguments.ts'

/** Bytes, text that stands for its UTF-8 bytes, or a stream of bytes. */
export type ByteSource = Uint8Array | string | AsyncIterable<Uint8Array>

/** What a body must come out to. */
export interface ExpectedBytes {
  readonly size?: number | undefined
  /** Base64. */
  readonly sha256?: string | undefined
}

/** Whether `value` is read piece by piece, so that it can be read but once. */
export function isByteStream(value: unknown): value is AsyncIterable<Uint8Array> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !(value instanceof Uint8Array) &&
    typeof (value as Partial<AsyncIterable<Uint8Array>>)[Symbol.asyncIterator] === 'function'
  )
}

/** Throws `invalid-argument` where `value` is no body, or where it is there already and not what was `expected`. */
export function checkByteSource(name: string, value: unknown, expected: ExpectedBytes): void {
  if (isByteStream(value)) return
  if (typeof value === 'string') checkText(name, value)
  else if (!(value instanceof Uint8Array)) {
    throw invalidArgument(
      `${name} must be a Uint8Array, a string or an async iterable of Uint8Array; got ${typeName(value)}`,
    )
  }
  const check = new ByteCheck(name, expected)
  check.take(typeof value === 'string' ? Buffer.from(value) : value)
  check.end()
}

/** Bytes that share no memory with `value`; of text, its UTF-8 bytes. */
export function copyBytes(value: Uint8Array | string): Uint8Array {
  return new Uint8Array(typeof value === 'string' ? Buffer.from(value) : value)
}

/**
 * A stream as a driver gets it: own chunks, and a rejection with `invalid-argument` as soon as it is known not to be
 * as expected. What the caller's stream throws reaches the caller as it is.
 */
export async function* ownStream(
  name: string,
  source: AsyncIterable<Uint8Array>,
  expected: ExpectedBytes,
  scope: CallScope,
): AsyncGenerator<Uint8Array> {
  const check = new ByteCheck(name, expected)
  const iterator = await scope.callback(async () => source[Symbol.asyncIterator]())()
  checkIterator(name, iterator)
  const next = scope.callback(async () => iterator.next())
  let over = false
  try {
    for (;;) {
      const item = await next().catch((error: unknown) => {
        over = true
        throw error
      })
      over = true
      checkIteratorResult(name, item)
      over = item.done === true
      if (item.done) break
      if (!(item.value instanceof Uint8Array)) {
        throw invalidArgument(`${name} must give Uint8Array chunks; got ${typeName(item.value)}`)
      }
      // A reader may reuse its buffer for the next chunk while this one is still being sent.
      const chunk = new Uint8Array(item.value)
      check.take(chunk)
      yield chunk
    }
    check.end()
  } finally {
    if (!over) await iterator.return?.()
  }
}

/** Counts and hashes bytes as they pass. */
class ByteCheck {
  readonly #name: string
  readonly #expected: ExpectedBytes
  readonly #hash: Hash | undefined
  #size = 0

  constructor(name: string, expected: ExpectedBytes) {
    this.#name = name
    this.#expected = expected
    this.#hash = expected.sha256 === undefined ? undefined : createHash('sha256')
  }

  take(chunk: Uint8Array): void {
    const { size } = this.#expected
    this.#size += chunk.length
    if (size !== undefined && this.#size > size) {
      throw invalidArgument(`${this.#name} is longer than the ${size} bytes it was said to have`)
    }
    this.#hash?.update(chunk)
  }

  end(): void {
    const { size, sha256 } = this.#expected
    if (size !== undefined && this.#size !== size) {
      throw invalidArgument(`${this.#name} is ${this.#size} bytes long; it was said to have ${size}`)
    }
    if (this.#hash !== undefined && this.#hash.digest('base64') !== sha256) {
      throw invalidArgument(`${this.#name} does not have the sha256 it was said to have`)
    }
  }
}

/**
 * Reads `source` until `signal` is aborted, then rejects with its reason at once, also where the source never
 * answers again; the source is told to stop. A body that was not read to its end is not stored, so the outcome of
 * that is `not-applied`.
 */
export async function* untilAbortedBytes(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  let stop: (reason: unknown) => void = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = reject
  })
  aborted.catch(() => {})
  const onAbort = (): void => stop(notApplied(signal.reason))
  signal.addEventListener('abort', onAbort, { once: true })
  let over = false
  let hanging = false
  try {
    for (;;) {
      if (signal.aborted) throw notApplied(signal.reason)
      hanging = true
      const step = iterator.next()
      step.catch(() => {})
      const item = await Promise.race([step, aborted])
      hanging = false
      over = item.done === true
      if (item.done) return
      yield item.value
    }
  } catch (error) {
    // A source that threw has ended; one that hangs has not.
    if (!signal.aborted) over = true
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (!over) {
      const stopped = Promise.resolve(iterator.return?.()).catch(() => {})
      if (!hanging) await stopped
    }
  }
}

function notApplied(reason: unknown): unknown {
  if (!PortError.is(reason)) return reason
  return new PortError({ ...reason, message: reason.detail, outcome: 'not-applied' })
}

/** Everything a stream of bytes gives, as one array. */
export async function readBytes(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}
