import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expectPortError } from '../contract-tests/expect.ts'
import { bytesOf, pattern, streamOf } from '../contract-tests/object-storage/samples.ts'
import { ObjectModel, objectCommands, runObjectCommand } from '../contract-tests/object-storage-model.ts'
import { VirtualClock } from '../src/calls/clock.ts'
import { FakeObjectStorage, fake } from './object-storage.ts'

test('any sequence of commands answers what a simple model answers', async () => {
  await fc.assert(
    fc.asyncProperty(objectCommands, async (commands) => {
      const storage = new FakeObjectStorage()
      const model = new ObjectModel()
      for (const command of commands) {
        assert.deepEqual(
          await runObjectCommand(storage, command),
          model.run(command),
          JSON.stringify(command),
        )
      }
    }),
    { numRuns: 500 },
  )
})

describe('what can be seen of it', () => {
  test('objects shows what is stored, in UTF-8 order, as copies', async () => {
    const storage = new FakeObjectStorage({ clock: new VirtualClock(new Date('2026-03-01T12:00:00.700Z')) })
    await storage.put('😀', 'last')
    await storage.put('Ａ', 'first', { contentType: 'text/plain', metadata: { a: 'b' } })
    expect([...storage.objects.keys()]).toEqual(['Ａ', '😀'])
    const shown = storage.objects.get('Ａ')
    expect(shown?.text).toBe('first')
    expect(shown?.info).toEqual({
      key: 'Ａ',
      size: 5,
      etag: `"${createHash('md5').update('first').digest('hex')}"`,
      contentType: 'text/plain',
      metadata: { a: 'b' },
      lastModified: new Date('2026-03-01T12:00:00Z'),
    })
    shown?.bytes.fill(0)
    shown?.info.lastModified.setTime(0)
    expect(storage.objects.get('Ａ')?.text).toBe('first')
    expect(storage.objects.get('Ａ')?.info.lastModified).toEqual(new Date('2026-03-01T12:00:00Z'))
  })

  test('the journal tells calls and what they changed, and nothing where nothing changed', async () => {
    const storage = new FakeObjectStorage()
    await storage.put('a', 'content')
    await storage.copy('a', 'b')
    await storage.deleteMany(['a', 'absent', 'b'])
    await storage.put('c', 'x', { ifAbsent: true })
    await storage.put('c', 'y', { ifAbsent: true }).catch(() => {})
    expect(
      storage.journal.entries.map(({ operation, effects, result }) => [operation, effects, result]),
    ).toEqual([
      ['put', ['stored a (7 bytes)'], 'ok'],
      ['copy', ['copied a to b (7 bytes)'], 'ok'],
      ['deleteMany', ['deleted a', 'deleted b'], 'ok'],
      ['put', ['stored c (1 bytes)'], 'ok'],
      ['put', [], 'precondition-failed'],
    ])
  })

  test('a body longer than a part has the etag of an upload in parts, its copy that of one piece', async () => {
    const storage = new FakeObjectStorage({ partSizeBytes: 10 })
    const md5 = (...pieces: Uint8Array[]): Buffer => createHash('md5').update(Buffer.concat(pieces)).digest()
    const body = pattern(25)
    const parts = [body.subarray(0, 10), body.subarray(10, 20), body.subarray(20)].map((part) => md5(part))
    const { etag } = await storage.put('a', streamOf(body, 7))
    expect(etag).toBe(`"${md5(...parts).toString('hex')}-3"`)
    expect((await storage.copy('a', 'b')).etag).toBe(`"${md5(body).toString('hex')}"`)
    expect((await storage.put('c', body.subarray(0, 10))).etag).not.toContain('-')
  })
})

describe('what can be forced', () => {
  test('a failure before stores nothing; one after stores, and the outcome is unknown', async () => {
    const storage = new FakeObjectStorage()
    storage.faults.next('put', { error: 'unavailable' })
    await expectPortError(storage.put('a', 'x'), 'unavailable', { outcome: 'not-applied' })
    expect(storage.objects.size).toBe(0)
    storage.faults.next('put', { error: 'timeout', when: 'after' })
    await expectPortError(storage.put('a', 'x'), 'timeout', { outcome: 'unknown' })
    expect(storage.objects.get('a')?.text).toBe('x')
  })

  test('only puts that may be repeated are: not of a stream, not under a condition', async () => {
    const retry = { attempts: 2, baseDelayMs: 1, maxDelayMs: 1 }
    const storage = new FakeObjectStorage({ retry })
    const failOnce = (): void => storage.faults.next('put', { error: 'unavailable' })
    failOnce()
    await storage.put('a', 'x')
    failOnce()
    await expectPortError(storage.put('b', streamOf(pattern(3))), 'unavailable')
    failOnce()
    await expectPortError(storage.put('b', 'x', { ifAbsent: true }), 'unavailable')
    failOnce()
    await expectPortError(storage.put('a', 'x', { ifMatch: '"etag"' }), 'unavailable')
    expect([...storage.objects.keys()]).toEqual(['a'])
  })
})

describe('seeding and reset', () => {
  test('seed stores without a call, and holds what it is given to the rules of put', async () => {
    const storage = fake.create({})
    storage.faults.always('*', { error: 'unavailable' })
    const bytes = pattern(3)
    storage.seed({ a: 'text', b: bytes, c: { body: 'x', contentType: 'text/plain', metadata: { d: 'e' } } })
    bytes.fill(0)
    expect(storage.journal.entries).toEqual([])
    expect(storage.objects.get('b')?.bytes).toEqual(pattern(3))
    expect(storage.objects.get('c')?.info).toMatchObject({ contentType: 'text/plain', metadata: { d: 'e' } })
    expect(() => storage.seed({ d: 'x', '': 'y' })).toThrow(/must not be empty/)
    expect(() => storage.seed({ d: { body: 'x', size: 1 } as never })).toThrow(/"size"/)
    expect(storage.objects.has('d')).toBe(false)
  })

  test('reset forgets objects, faults and journal', async () => {
    const storage = new FakeObjectStorage()
    await storage.put('a', 'x')
    storage.faults.always('*', { error: 'unavailable' })
    storage.reset()
    expect(await storage.get('a')).toBeUndefined()
    expect((await storage.list()).objects).toEqual([])
    expect(storage.journal.entries).toHaveLength(2)
  })

  test('a reader keeps the version it began with', async () => {
    const storage = new FakeObjectStorage()
    const old = pattern(200_000)
    await storage.put('a', old)
    const object = await storage.get('a')
    await storage.put('a', 'new')
    expect(Buffer.compare(await bytesOf(object), old)).toBe(0)
  })
})

describe('signed URLs', () => {
  const minute = 60_000

  test('what is done over HTTP is in the journal, and faults hit it', async () => {
    const storage = new FakeObjectStorage()
    const put = await storage.signUrl('a', { expiresInMs: minute, method: 'PUT' })
    storage.faults.next('put', { error: 'unavailable' })
    expect((await fetch(put, { method: 'PUT', body: 'x' })).status).toBe(503)
    storage.faults.next('put', { error: 'rate-limited' })
    const slow = await fetch(put, { method: 'PUT', body: 'x' })
    expect([slow.status, await slow.text()]).toEqual([503, expect.stringContaining('<Code>SlowDown</Code>')])
    expect((await fetch(put, { method: 'PUT', body: 'content' })).status).toBe(200)
    expect(storage.journal.of('put').map(({ effects, result }) => [effects, result])).toEqual([
      [[], 'unavailable'],
      [[], 'rate-limited'],
      [['stored a (7 bytes)'], 'ok'],
    ])
    await storage.guarded.close()
  })

  test('a body without a length, unsigned x-amz headers and several ranges are refused as such; conditions hold', async () => {
    const storage = new FakeObjectStorage()
    await storage.put('a', 'content')
    const put = await storage.signUrl('a', { expiresInMs: minute, method: 'PUT' })
    const get = await storage.signUrl('a', { expiresInMs: minute })
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Uint8Array.of(1))
        controller.close()
      },
    })
    expect((await fetch(put, { method: 'PUT', body, duplex: 'half' } as RequestInit)).status).toBe(411)
    const header = (name: string, value: string) => ({ headers: { [name]: value } })
    const stored = await fetch(put, { method: 'PUT', body: 'x', ...header('x-amz-meta-a', 'b') })
    expect(stored.status).toBe(403)
    const { etag = '' } = storage.objects.get('a')?.info ?? {}
    expect((await fetch(get, header('if-none-match', '"x"'))).status).toBe(200)
    expect((await fetch(get, header('if-none-match', etag))).status).toBe(304)
    expect((await fetch(get, header('if-match', '"x"'))).status).toBe(412)
    expect((await fetch(put, { method: 'PUT', body: 'x', ...header('if-none-match', '*') })).status).toBe(412)
    expect((await fetch(get, header('range', 'bytes=0-1,3-4'))).status).toBe(501)
    expect((await fetch(get, header('range', 'bytes=100-'))).status).toBe(416)
    expect(storage.objects.get('a')?.text).toBe('content')
    await storage.guarded.close()
  })

  test('its server answers a large object under back-pressure and ends with the fake', async () => {
    const storage = new FakeObjectStorage()
    const bytes = pattern(5_000_000)
    await storage.put('a', bytes)
    const url = await storage.signUrl('a', { expiresInMs: minute })
    expect(Buffer.compare(new Uint8Array(await (await fetch(url)).arrayBuffer()), bytes)).toBe(0)
    await storage.guarded.close()
    await expect(fetch(url)).rejects.toThrow()
  })
})
