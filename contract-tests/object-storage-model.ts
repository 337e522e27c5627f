/**
 * Random commands on an object storage, and what each answered in a form that can be compared: between a subject
 * and a simple model, or between a fake and a real server.
 */
import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { compareUtf8 } from '../src/calls/arguments.ts'
import { readBytes } from '../src/calls/bytes.ts'
import { PortError } from '../src/errors.ts'
import type { ByteRange, ObjectStorage } from '../src/ports/object-storage.ts'

/** Few keys, so that commands meet; with shared prefixes and an order that differs by encoding. */
const keys = ['a', 'a/', 'a/b', 'a/b/c', 'a-b', 'B', 'é', '😀', 'Ａ', '/x']

export type ObjectCommand =
  | {
      readonly type: 'put'
      readonly key: string
      readonly body: string
      readonly streamed: boolean
      readonly ifAbsent: boolean
      readonly metadata: Readonly<Record<string, string>>
    }
  | { readonly type: 'get'; readonly key: string; readonly range: ByteRange | undefined }
  | { readonly type: 'get-unless'; readonly key: string; readonly of: string }
  | { readonly type: 'head'; readonly key: string }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'delete-many'; readonly keys: readonly string[] }
  | {
      readonly type: 'copy'
      readonly source: string
      readonly destination: string
      readonly replaced: boolean
    }
  | {
      readonly type: 'list'
      readonly prefix: string
      readonly delimiter: string | undefined
      readonly startAfter: string | undefined
      readonly pageSize: number
    }

const key = fc.constantFrom(...keys)
const range = fc.oneof(
  fc.record({ start: fc.nat(12) }),
  fc.tuple(fc.nat(12), fc.nat(12)).map(([start, more]) => ({ start, end: start + more })),
  fc.integer({ min: 1, max: 12 }).map((suffix) => ({ suffix })),
)

/** Sequences of commands. */
export const objectCommands: fc.Arbitrary<readonly ObjectCommand[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .record({
          type: fc.constant('put' as const),
          key,
          body: fc.string({ maxLength: 10, unit: 'grapheme' }),
          streamed: fc.boolean(),
          ifAbsent: fc.boolean(),
          metadata: fc.dictionary(fc.constantFrom('a', 'b-c'), fc.constantFrom('1', 'x y'), {
            noNullPrototype: true,
          }),
        })
        .map((command) => (command.streamed ? { ...command, ifAbsent: false } : command)),
    },
    fc.record({ type: fc.constant('get' as const), key, range: fc.option(range, { nil: undefined }) }),
    fc.record({ type: fc.constant('get-unless' as const), key, of: key }),
    fc.record({ type: fc.constant('head' as const), key }),
    fc.record({ type: fc.constant('delete' as const), key }),
    fc.record({ type: fc.constant('delete-many' as const), keys: fc.array(key, { maxLength: 4 }) }),
    fc.record({ type: fc.constant('copy' as const), source: key, destination: key, replaced: fc.boolean() }),
    fc.record({
      type: fc.constant('list' as const),
      prefix: fc.constantFrom('', 'a', 'a/', 'a/b', 'z'),
      delimiter: fc.constantFrom(undefined, '/', '-', 'b/'),
      startAfter: fc.option(key, { nil: undefined }),
      pageSize: fc.constantFrom(1, 2, 3, 1_000),
    }),
  ),
  { minLength: 1, maxLength: 25 },
)

/** Runs one command; the answer has no times and no page tokens, and a failure is its code and reason. */
export async function runObjectCommand(port: ObjectStorage, command: ObjectCommand): Promise<unknown> {
  try {
    return await run(port, command)
  } catch (error) {
    if (!PortError.is(error)) throw error
    return { code: error.code, reason: error.reason, outcome: error.outcome }
  }
}

async function run(port: ObjectStorage, command: ObjectCommand): Promise<unknown> {
  switch (command.type) {
    case 'put': {
      const bytes = Buffer.from(command.body)
      const { metadata, ifAbsent } = command
      const options = { metadata, ...(ifAbsent ? { ifAbsent } : {}) }
      return port.put(command.key, command.streamed ? oneByOne(bytes) : bytes, options)
    }
    case 'get': {
      const object = await port.get(command.key, command.range === undefined ? {} : { range: command.range })
      if (object === undefined) return undefined
      const { lastModified: _, ...info } = object.info
      return { info, range: object.range, bytes: Buffer.from(await readBytes(object.body)).toString('hex') }
    }
    case 'get-unless': {
      const ifNoneMatch = (await port.head(command.of))?.etag ?? '"none"'
      const object = await port.get(command.key, { ifNoneMatch })
      return object && Buffer.from(await readBytes(object.body)).toString('hex')
    }
    case 'head': {
      const info = await port.head(command.key)
      return info && { ...info, lastModified: undefined }
    }
    case 'delete':
      return port.delete(command.key)
    case 'delete-many':
      return port.deleteMany(command.keys)
    case 'copy': {
      const { source, destination, replaced } = command
      return port.copy(source, destination, replaced ? { attributes: { contentType: 'text/plain' } } : {})
    }
    case 'list': {
      const { prefix, delimiter, startAfter, pageSize } = command
      const query = {
        prefix,
        pageSize,
        ...(delimiter === undefined ? {} : { delimiter }),
        ...(startAfter === undefined ? {} : { startAfter }),
      }
      const pages: unknown[] = []
      let pageToken: string | undefined
      do {
        const page = await port.list(pageToken === undefined ? query : { ...query, pageToken })
        const objects = page.objects.map(({ key: listed, size, etag }) => ({ key: listed, size, etag }))
        pages.push({ objects, prefixes: page.prefixes })
        pageToken = page.nextPageToken
      } while (pageToken !== undefined)
      return pages
    }
  }
}

async function* oneByOne(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (const byte of bytes) yield Uint8Array.of(byte)
}

interface ModelObject {
  readonly body: Buffer
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

/** The shortest thing that answers the commands as they should be; it shares no code with the fake. */
export class ObjectModel {
  readonly #objects = new Map<string, ModelObject>()

  run(command: ObjectCommand): unknown {
    const objects = this.#objects
    const refused = (code: string, reason?: string) => ({ code, reason, outcome: 'not-applied' })
    switch (command.type) {
      case 'put': {
        if (command.ifAbsent && objects.has(command.key)) return refused('precondition-failed')
        const body = Buffer.from(command.body)
        objects.set(command.key, {
          body,
          contentType: 'application/octet-stream',
          metadata: command.metadata,
        })
        return { key: command.key, size: body.length, etag: etagOf(body) }
      }
      case 'get': {
        const object = objects.get(command.key)
        if (object === undefined) return undefined
        const all = object.body
        const asked = command.range
        if (asked === undefined)
          return { info: this.#info(command.key), range: undefined, bytes: all.toString('hex') }
        const bytes =
          'suffix' in asked
            ? all.subarray(-asked.suffix)
            : all.subarray(asked.start, (asked.end ?? all.length) + 1)
        if (bytes.length === 0) return refused('invalid-argument', 'range-not-satisfiable')
        const start = 'suffix' in asked ? all.length - bytes.length : asked.start
        const answered = { start, end: start + bytes.length - 1 }
        return { info: this.#info(command.key), range: answered, bytes: bytes.toString('hex') }
      }
      case 'get-unless': {
        const object = objects.get(command.key)
        if (object === undefined) return undefined
        const other = objects.get(command.of)
        if (other?.body.equals(object.body)) return refused('precondition-failed', 'not-modified')
        return object.body.toString('hex')
      }
      case 'head':
        return objects.has(command.key) ? { ...this.#info(command.key), lastModified: undefined } : undefined
      case 'delete':
        objects.delete(command.key)
        return undefined
      case 'delete-many':
        for (const each of command.keys) objects.delete(each)
        return { items: command.keys.map((each) => ({ key: each, error: undefined })), ok: true }
      case 'copy': {
        const { source, destination, replaced } = command
        const object = objects.get(source)
        if (source === destination && !replaced) return refused('invalid-argument')
        if (object === undefined) return refused('not-found')
        objects.set(destination, replaced ? { ...object, contentType: 'text/plain', metadata: {} } : object)
        return { key: destination, etag: etagOf(object.body) }
      }
      case 'list':
        return this.#pages(command)
    }
  }

  #info(name: string): object | undefined {
    const object = this.#objects.get(name)
    if (object === undefined) return undefined
    const { body, contentType, metadata } = object
    return { key: name, size: body.length, etag: etagOf(body), contentType, metadata }
  }

  #pages({ prefix, delimiter, startAfter, pageSize }: ObjectCommand & { type: 'list' }): unknown {
    const entries = new Map<string, 'object' | 'prefix'>()
    for (const name of this.#objects.keys()) {
      if (!name.startsWith(prefix)) continue
      const rest = name.slice(prefix.length)
      if (delimiter !== undefined && rest.includes(delimiter)) {
        entries.set(prefix + rest.slice(0, rest.indexOf(delimiter)) + delimiter, 'prefix')
      } else entries.set(name, 'object')
    }
    const sorted = [...entries].sort(([a], [b]) => compareUtf8(a, b))
    const listed = sorted.filter(([name]) => startAfter === undefined || compareUtf8(name, startAfter) > 0)
    const pages = [listed.splice(0, pageSize)]
    while (listed.length > 0) pages.push(listed.splice(0, pageSize))
    return pages.map((page) => ({
      objects: page.flatMap(([name, kind]) => {
        const { body } = this.#objects.get(name) ?? { body: Buffer.alloc(0) }
        return kind === 'object' ? [{ key: name, size: body.length, etag: etagOf(body) }] : []
      }),
      prefixes: page.flatMap(([name, kind]) => (kind === 'prefix' ? [name] : [])),
    }))
  }
}

/** The etag of what is stored in one piece. */
export function etagOf(body: Uint8Array | string): string {
  return `"${createHash('md5').update(body).digest('hex')}"`
}
