import { existsSync, readdirSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pattern, streamOf } from '../../contract-tests/object-storage/samples.ts'
import { readBytes } from '../../src/calls/bytes.ts'
import { ContentStore } from './contents.ts'
import { Content } from './pieces.ts'

const small = { largestInMemoryBytes: 100, memoryBytes: 300 }

function filesOf({ folder }: ContentStore): number {
  return folder === undefined ? 0 : readdirSync(folder).length
}

test('what is written, joined and cut reads as the same bytes, in memory or in files', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(250), fc.integer({ min: 1, max: 60 })), { minLength: 1, maxLength: 5 }),
      fc.nat(800),
      fc.nat(800),
      async (pieces, from, more) => {
        const store = new ContentStore(small)
        const bytes = pieces.map(([size], index) => pattern(size, index + 1))
        const contents = await Promise.all(
          pieces.map(([, chunk], index) => store.write(streamOf(bytes[index] ?? new Uint8Array(), chunk))),
        )
        const whole = Content.join(contents)
        const all = Buffer.concat(bytes)
        const [start, end] = [Math.min(from, all.length), Math.min(from + more, all.length)]
        expect(whole.size).toBe(all.length)
        expect(Buffer.compare(await readBytes(whole.read(start, end)), all.subarray(start, end))).toBe(0)
        const part = whole.share(start, end)
        for (const content of [...contents, whole]) content.release()
        expect(Buffer.compare(part.bytes(), all.subarray(start, end))).toBe(0)
        part.release()
        expect([filesOf(store), store.memory]).toEqual([0, 0])
        store.close()
      },
    ),
    { numRuns: 100 },
  )
})

describe('files', () => {
  test('are for large pieces, go with their last holder, and with the store', async () => {
    const store = new ContentStore(small)
    const content = await store.write(streamOf(pattern(1_000), 90))
    const copy = content.share(500)
    expect(filesOf(store)).toBe(1)
    content.release()
    content.release()
    expect(filesOf(store)).toBe(1)
    const other = await store.write(streamOf(pattern(101)))
    copy.release()
    expect(filesOf(store)).toBe(1)
    const { folder = '' } = store
    store.close()
    expect(existsSync(folder)).toBe(false)
    await expect(store.write(streamOf(pattern(101)))).rejects.toThrow(/closed/)
    other.release()
  })

  test('a reader that began holds what it reads; one that never began lets go when it is told to return', async () => {
    const store = new ContentStore(small)
    const bytes = pattern(600_000)
    const content = await store.write(streamOf(bytes))
    const reader = content.read()
    const first = await reader.next()
    const unread = content.read()
    content.release()
    await unread.return?.()
    expect(filesOf(store)).toBe(1)
    const rest = await readBytes(reader)
    expect(Buffer.compare(Buffer.concat([first.value ?? new Uint8Array(), rest]), bytes)).toBe(0)
    expect(filesOf(store)).toBe(0)
    store.close()
  })

  test('a source that fails leaves none', async () => {
    const store = new ContentStore(small)
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield pattern(500)
      throw new Error('the source failed')
    }
    await expect(store.write(failing())).rejects.toThrow('the source failed')
    expect([filesOf(store), store.memory]).toEqual([0, 0])
    store.close()
  })

  test('content of another store outlives it', async () => {
    const [one, two] = [new ContentStore(small), new ContentStore(small)]
    const contents = [await one.write(streamOf(pattern(1_000))), await one.write(streamOf(pattern(10)))]
    const adopted = two.adopt(Content.join(contents))
    one.close()
    expect(Buffer.compare(adopted.bytes(), Buffer.concat([pattern(1_000), pattern(10)]))).toBe(0)
    adopted.release()
    expect([filesOf(two), two.memory]).toEqual([0, 0])
    two.close()
  })

  test('when memory is full even small pieces are files', async () => {
    const store = new ContentStore(small)
    const contents = await Promise.all(
      [1, 2, 3, 4, 5].map((seed) => store.write(streamOf(pattern(99, seed)))),
    )
    expect(store.memory).toBeLessThanOrEqual(300)
    expect(filesOf(store)).toBe(2)
    for (const content of contents) content.release()
    store.close()
  })
})
