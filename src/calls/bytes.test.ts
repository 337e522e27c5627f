import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PortError } from '../errors.ts'
import type { CallScope } from '../port.ts'
import { checkByteSource, copyBytes, ownStream, readBytes, untilAbortedBytes } from './bytes.ts'

const scope: CallScope = {
  nested: (_port, calls) => calls,
  stream: (source) => source,
  callback: (callback) => callback,
  failure: (error) => {
    throw error
  },
}
const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 })
const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64')

async function* streamOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

describe('a body that is as it was said to be', () => {
  test('passes unchanged, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(chunks, async (pieces) => {
        const bytes = new Uint8Array(Buffer.concat(pieces))
        const expected = { size: bytes.length, sha256: sha256Of(bytes) }
        checkByteSource('body', bytes, expected)
        expect(copyBytes(bytes)).toEqual(bytes)
        expect(await readBytes(ownStream('body', streamOf(pieces), expected, scope))).toEqual(bytes)
      }),
    )
  })
})

describe('a body that is not', () => {
  test('is refused, as bytes at once and as a stream at its end at the latest', async () => {
    await fc.assert(
      fc.asyncProperty(chunks, fc.nat(200), async (pieces, size) => {
        const bytes = new Uint8Array(Buffer.concat(pieces))
        fc.pre(size !== bytes.length)
        for (const expected of [{ size }, { sha256: sha256Of(Uint8Array.of(...bytes, 0)) }]) {
          expect(() => checkByteSource('body', bytes, expected)).toThrow(PortError)
          const stream = ownStream('body', streamOf(pieces), expected, scope)
          await expect(readBytes(stream)).rejects.toMatchObject({ code: 'invalid-argument' })
        }
      }),
    )
  })

  test('is refused as soon as it is too long: an endless stream ends, and its source is told', async () => {
    let stopped = false
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Uint8Array.of(1, 2, 3)
      } finally {
        stopped = true
      }
    }
    const stream = ownStream('body', endless(), { size: 10 }, scope)
    await expect(readBytes(stream)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(stopped).toBe(true)
  })
})

describe('a stream under a signal', () => {
  test('ends with the reason also where its source never answers', async () => {
    const controller = new AbortController()
    const hanging: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }),
    }
    const read = readBytes(untilAbortedBytes(hanging, controller.signal))
    controller.abort(new PortError({ code: 'cancelled', message: 'enough' }))
    // What was not read whole was not stored.
    await expect(read).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' })
  })

  test('passes on what its source throws', async () => {
    const failure = new Error('the source failed')
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1)
      throw failure
    }
    const read = readBytes(untilAbortedBytes(failing(), new AbortController().signal))
    await expect(read).rejects.toBe(failure)
  })

  test('tells its source to stop when its reader leaves', async () => {
    let stopped = false
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield Uint8Array.of(1)
      } finally {
        stopped = true
      }
    }
    for await (const _ of untilAbortedBytes(source(), new AbortController().signal)) break
    expect(stopped).toBe(true)
  })
})
