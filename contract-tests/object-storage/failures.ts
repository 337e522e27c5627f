/** What holds where the service refuses, its answer is lost, or the caller gives up: codes, outcomes, no traces. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { inspect } from 'node:util'
import { PortError, type PortErrorCode } from '../../src/errors.ts'
import type { ObjectStorage } from '../../src/ports/object-storage.ts'
import type { BehaviourContext } from '../contract.ts'
import { collect, expectPortError } from '../expect.ts'
import {
  bytesOf,
  type ObjectBehaviour,
  overOnePartBytes,
  pattern,
  streamOf,
  textAt,
  until,
} from './samples.ts'

type Context = BehaviourContext<ObjectStorage>

/**
 * What a service may answer to any call that has a body to say it with; with whether it may go through later.
 * The other codes of the port have behaviours of their own.
 */
const refusals: readonly (readonly [code: PortErrorCode, retryable: boolean])[] = [
  ['unauthenticated', false],
  ['permission-denied', false],
  ['rejected', false],
  ['quota-exceeded', false],
  ['unsupported', false],
  ['corrupt', false],
  ['rate-limited', true],
  ['conflict', true],
  ['unavailable', true],
]

/** Every code that an object storage can fail with: each is provoked on every subject whose failures can be forced. */
export const objectStorageCodes: readonly PortErrorCode[] = [
  ...refusals.map(([code]) => code),
  ...(['cancelled', 'closed', 'invalid-argument', 'not-found', 'precondition-failed', 'timeout'] as const),
].toSorted()

const reads: Readonly<Record<string, (port: ObjectStorage) => Promise<unknown>>> = {
  get: (port) => port.get('old'),
  list: (port) => port.list(),
  listAll: (port) => collect(port.listAll()),
}

const writes: Readonly<Record<string, (port: ObjectStorage) => Promise<unknown>>> = {
  put: (port) => port.put('new', 'new content'),
  copy: (port) => port.copy('old', 'new'),
  delete: (port) => port.delete('gone'),
  deleteMany: (port) => port.deleteMany(['gone', 'gone too']),
}

/** The keys that each write leaves of these. */
const before = ['gone', 'gone too', 'old']
const after: Readonly<Record<string, readonly string[]>> = {
  put: [...before, 'new'].toSorted(),
  copy: [...before, 'new'].toSorted(),
  delete: ['gone too', 'old'],
  deleteMany: ['old'],
}

async function reset(port: ObjectStorage): Promise<void> {
  await port.delete('new')
  for (const key of before) await port.put(key, 'old content')
}

async function keysOf(port: ObjectStorage): Promise<string[]> {
  return (await port.list()).objects.map(({ key }) => key)
}

function assertNoSecret(error: PortError, { canaries = [] }: Context): void {
  const shown = [
    String(error),
    error.stack,
    JSON.stringify(error),
    inspect(error, { depth: 12, showHidden: true }),
  ]
  for (const canary of canaries) assert.ok(!shown.join('\n').includes(canary), 'an error shows a secret')
}

export const failures: readonly ObjectBehaviour[] = [
  {
    id: 'failure/refused-reads',
    sentence:
      'A read that the service refuses fails with the code of the refusal, not applied, without a secret.',
    needs: ['force'],
    async check(context) {
      const { port, force } = context
      await port.put('old', 'old content')
      for (const [code, retryable] of refusals) {
        for (const [operation, call] of Object.entries(reads)) {
          force?.(operation, { error: code })
          const expected = { operation, outcome: 'not-applied', retryable } as const
          assertNoSecret(await expectPortError(call(port), code, expected), context)
        }
      }
      assert.equal(await textAt(port, 'old'), 'old content')
    },
  },
  {
    id: 'failure/refused-writes',
    sentence: 'A write that the service refuses fails with the code of the refusal and changes nothing.',
    needs: ['force'],
    async check(context) {
      const { port, force } = context
      for (const [code, retryable] of refusals) {
        await reset(port)
        for (const [operation, call] of Object.entries(writes)) {
          force?.(operation, { error: code })
          const expected = { operation, outcome: 'not-applied', retryable } as const
          assertNoSecret(await expectPortError(call(port), code, expected), context)
          assert.deepEqual(await keysOf(port), before, `${operation} refused with ${code}`)
        }
      }
    },
  },
  {
    id: 'failure/lost-answers',
    sentence:
      'A write whose answer is lost is unavailable with the outcome unknown, and has had its effect; a read lost is not applied.',
    needs: ['force'],
    async check(context) {
      const { port, force } = context
      for (const [operation, call] of Object.entries(writes)) {
        await reset(port)
        force?.(operation, { error: 'unavailable', when: 'after' })
        const expected = { operation, outcome: 'unknown', retryable: true } as const
        assertNoSecret(await expectPortError(call(port), 'unavailable', expected), context)
        assert.deepEqual(await keysOf(port), after[operation], operation)
        // What is repeated because nobody knows must not be refused, nor do harm.
        await call(port)
        assert.deepEqual(await keysOf(port), after[operation], `${operation} repeated`)
      }
      await reset(port)
      for (const [operation, call] of Object.entries(reads)) {
        force?.(operation, { error: 'unavailable', when: 'after' })
        const expected = { operation, outcome: 'not-applied', retryable: true } as const
        await expectPortError(call(port), 'unavailable', expected)
      }
    },
  },
  {
    id: 'failure/lost-answer-of-a-condition',
    sentence: 'Where the answer to an ifAbsent is lost, repeating it finds the key taken by the first.',
    needs: ['force'],
    async check({ port, force }) {
      force?.('put', { error: 'unavailable', when: 'after' })
      const first = port.put('once', 'first', { ifAbsent: true })
      await expectPortError(first, 'unavailable', { outcome: 'unknown' })
      const again = port.put('once', 'second', { ifAbsent: true })
      await expectPortError(again, 'precondition-failed', { outcome: 'not-applied' })
      assert.equal(await textAt(port, 'once'), 'first')
    },
  },
  {
    id: 'failure/lost-answer-of-an-upload',
    sentence:
      'Where the answer to the end of an upload longer than a part is lost, the outcome is unknown and the object whole.',
    needs: ['force'],
    async check({ port, force }) {
      const bytes = pattern(overOnePartBytes)
      force?.('put', { error: 'unavailable', when: 'after' })
      await expectPortError(port.put('long', streamOf(bytes)), 'unavailable', { outcome: 'unknown' })
      assert.equal((await port.head('long'))?.size, bytes.length)
    },
  },
  {
    id: 'failure/recovers-by-itself',
    sentence: 'After failures of every kind the same client goes on as if they had not been.',
    needs: ['force'],
    async check({ port, force }) {
      for (const [code] of refusals) {
        force?.('put', { error: code })
        await expectPortError(port.put('key', code), code)
        await port.put('key', `after ${code}`)
        assert.equal(await textAt(port, 'key'), `after ${code}`)
      }
    },
  },
  {
    id: 'failure/missing-bucket',
    sentence: 'Where the bucket itself is missing, reads and writes are not-found: it is no absent key.',
    needs: ['force'],
    async check({ port, force }) {
      for (const [operation, call] of Object.entries({ ...reads, ...writes })) {
        await port.put('old', 'x')
        force?.(operation, { error: 'not-found', reason: 'no-such-bucket' })
        const expected = { operation, outcome: 'not-applied', retryable: false } as const
        await expectPortError(call(port), 'not-found', expected)
      }
    },
  },
  {
    id: 'abort/put-under-way',
    sentence:
      'A put that is cancelled at whatever moment leaves the old object or the new one, whole, and the old one where it says so.',
    async check({ port }) {
      for (const body of [pattern(40_000), pattern(overOnePartBytes)]) {
        for (const turns of [0, 1, 2, 4, 8, 16, 64]) {
          await port.put('key', 'old content')
          const controller = new AbortController()
          const { signal } = controller
          const put = port.put('key', body, { signal }).then(
            () => undefined,
            (error: unknown) => error,
          )
          for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
          controller.abort()
          const error = await put
          assert.equal(getEventListeners(signal, 'abort').length, 0, 'a listener stayed on the signal')
          const size = (await port.head('key'))?.size ?? 0
          if (error === undefined) {
            assert.equal(size, body.length, 'it was said to be stored')
            continue
          }
          assert.ok(PortError.is(error) && error.code === 'cancelled', String(error))
          const possible = error.outcome === 'not-applied' ? [11] : [11, body.length]
          assert.ok(possible.includes(size), `${size} bytes where the outcome is ${error.outcome}`)
        }
      }
    },
  },
  {
    id: 'abort/body-keeps-no-listener',
    sentence: 'A body that was read, left early or cancelled leaves no listener on the signal of its call.',
    async check({ port }) {
      await port.put('large', pattern(2_000_000))
      const ways: ((body: AsyncIterable<Uint8Array>, controller: AbortController) => Promise<unknown>)[] = [
        (body) => collect(body),
        async (body) => {
          for await (const _ of body) break
        },
        async (body, controller) => {
          const read = async (): Promise<void> => {
            for await (const _ of body) controller.abort()
          }
          await expectPortError(read(), 'cancelled')
        },
      ]
      for (const way of ways) {
        const controller = new AbortController()
        const object = (await port.get('large', { signal: controller.signal })) ?? assert.fail()
        await way(object.body, controller)
        assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
      }
    },
  },
  {
    id: 'abort/list-all',
    sentence: 'listAll that is cancelled between two items, or left early, ends there and keeps no listener.',
    async check({ port }) {
      for (const key of ['a', 'b', 'c']) await port.put(key, '')
      const controller = new AbortController()
      const seen: string[] = []
      const read = async (): Promise<void> => {
        for await (const { key } of port.listAll({ signal: controller.signal })) {
          seen.push(key)
          controller.abort()
        }
      }
      await expectPortError(read(), 'cancelled', { operation: 'listAll', outcome: 'not-applied' })
      assert.deepEqual(seen, ['a'])
      const left = new AbortController()
      for await (const _ of port.listAll({ signal: left.signal })) break
      for (const { signal } of [controller, left]) {
        assert.equal(getEventListeners(signal, 'abort').length, 0)
      }
    },
  },
  {
    id: 'close/put-under-way-is-finished',
    sentence: 'Closing waits for a put that is under way, which is stored; a later call is closed.',
    async check({ port, guarded, openAnother }) {
      const other = await openAnother?.()
      try {
        const begun = Promise.withResolvers<void>()
        const slow = async function* (): AsyncGenerator<Uint8Array> {
          yield Uint8Array.of(1, 2)
          begun.resolve()
          await new Promise((resolve) => setTimeout(resolve, 100))
          yield Uint8Array.of(3)
        }
        const put = port.put('slow', slow())
        await begun.promise
        const closing = guarded.close()
        await expectPortError(port.head('slow'), 'closed', { outcome: 'not-applied' })
        assert.equal((await put).size, 3)
        await closing
        if (other !== undefined) assert.equal((await other.port.head('slow'))?.size, 3)
      } finally {
        await other?.close()
      }
    },
  },
  {
    id: 'close/body-under-way-ends',
    sentence: 'A body that is half read when the port is closed ends with closed, never as if it were whole.',
    async check({ port, guarded }) {
      const bytes = pattern(overOnePartBytes)
      await port.put('large', bytes)
      const object = (await port.get('large')) ?? assert.fail()
      const read = async (): Promise<void> => {
        let closing: Promise<void> | undefined
        for await (const _ of object.body) closing ??= guarded.close()
        await closing
      }
      await expectPortError(read(), 'closed', { outcome: 'not-applied' })
      await guarded.close()
    },
  },
  {
    id: 'get/leaving-early-frees-its-connection',
    sentence: 'The connection of a body that is left early is closed, not read to the end for nobody.',
    async check({ port }) {
      const bytes = pattern(overOnePartBytes)
      await port.put('large', bytes)
      await bytesOf(await port.get('large', { range: { start: 0, end: 9 } }))
      const idle = openSockets()
      await Promise.all(
        Array.from({ length: 12 }, async () => {
          const object = (await port.get('large')) ?? assert.fail()
          for await (const chunk of object.body) {
            assert.ok(chunk.length < bytes.length)
            break
          }
        }),
      )
      await until(() => openSockets() <= idle, 'a connection stayed open')
    },
  },
]

/** How many connections keep this process alive; idle ones in an agent's hands do not. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
}
