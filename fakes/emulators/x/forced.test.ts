import { describe, expect, test } from 'vitest'
import { clockStart, skins } from '../fixtures/open-x.ts'
import type { ForcedAnswer } from '../x.ts'

describe.each(skins)('over %s', (_, open) => {
  describe('a forced answer', () => {
    test('is given as it is, once, in place of the fake’s', async () => {
      const { call, emulator, publisher } = await open()
      emulator.force({ status: 599, body: 'what?', headers: { 'content-type': 'text/odd', 'x-a': 'b' } })
      const { status, text, headers } = await call('POST', '/2/tweets', { text: 'a' })
      expect([status, text, headers.get('content-type'), headers.get('x-a')]).toEqual([
        599,
        'what?',
        'text/odd',
        'b',
      ])
      expect(publisher.journal.entries).toEqual([])
      expect((await call('POST', '/2/tweets', { text: 'a' })).status).toBe(201)
    })

    test('after the fact replaces what the fake said', async () => {
      const { call, emulator, publisher } = await open()
      emulator.force({ status: 502, when: 'after' })
      expect((await call('POST', '/2/tweets', { text: 'a' })).status).toBe(502)
      expect(publisher.posts).toHaveLength(1)
    })

    test.each(['before', 'after'] as const)('may be none: dropped %s the fact', async (when) => {
      const { call, emulator, publisher } = await open()
      emulator.force({ drop: true, when })
      await expect(call('POST', '/2/tweets', { text: 'a' })).rejects.toThrow(TypeError)
      expect(publisher.posts).toHaveLength(when === 'after' ? 1 : 0)
    })

    test('may be for one operation, and for several requests', async () => {
      const { call, emulator } = await open()
      emulator.force({ status: 500, operation: 'delete', times: 2 })
      const statuses = []
      for (const [method, path] of [
        ['GET', '/2/tweets/7'],
        ['DELETE', '/2/tweets/7'],
        ['GET', '/2/users/me'],
        ['DELETE', '/2/tweets/7'],
        ['DELETE', '/2/tweets/7'],
      ] as const)
        statuses.push((await call(method, path)).status)
      expect(statuses).toEqual([200, 500, 200, 500, 200])
    })

    test('may be late, on the fake’s clock', async () => {
      const { call, emulator, publisher } = await open()
      emulator.force({ latencyMs: 5_000 })
      expect((await call('POST', '/2/tweets', { text: 'a' })).status).toBe(201)
      expect(publisher.clock.now()).toBe(clockStart + 5_000)
    })

    test('is taken back by reset, as are posts and faults', async () => {
      const { call, emulator, publisher } = await open()
      await call('POST', '/2/tweets', { text: 'a' })
      emulator.force({ status: 500 })
      publisher.faults.next('publish', { error: 'unavailable' })
      emulator.reset()
      expect((await call('POST', '/2/tweets', { text: 'a' })).status).toBe(201)
      expect(publisher.posts).toHaveLength(1)
    })

    test.each<unknown>([
      {},
      { status: 199 },
      { status: 600 },
      { status: '200' },
      { status: 200, drop: true },
      { drop: 'yes' },
      { status: 200, body: 7 },
      { status: 200, headers: { a: 1 } },
      { status: 200, headers: 'a' },
      { status: 200, when: 'later' },
      { status: 200, operation: 'post' },
      { status: 200, times: 0 },
      { latencyMs: -1 },
      { status: 200, code: 'x' },
      { operation: 'get' },
    ])('that cannot be given is refused: %j', async (answer) => {
      const { emulator } = await open()
      expect(() => emulator.force(answer as ForcedAnswer)).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }),
      )
    })
  })
})
