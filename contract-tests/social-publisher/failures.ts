/** What a caller learns of each way to fail, and what is so afterwards. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import type { PortErrorCode } from '../../src/errors.ts'
import { expectPortError } from '../expect.ts'
import { freshText, inside, type PostBehaviour, texts } from './samples.ts'

const forced: readonly (readonly [PortErrorCode, boolean, boolean])[] = [
  // code, retryable, whether the service says that nothing was done
  ['unavailable', true, false],
  ['rate-limited', true, true],
  ['unauthenticated', false, true],
  ['permission-denied', false, true],
  ['quota-exceeded', false, true],
]

/** What only an odd answer of the service leads to: a fake, which answers nobody by HTTP, never fails so. */
const oddCodes: readonly PortErrorCode[] = ['internal', 'not-found', 'unsupported']

/** Every code that a publisher can fail with: each is provoked on every subject that can. */
export const publisherCodes: Readonly<Record<'fake' | 'adapter', readonly PortErrorCode[]>> = (() => {
  const codes: readonly PortErrorCode[] = [
    ...forced.map(([code]) => code),
    ...(['cancelled', 'closed', 'corrupt', 'invalid-argument', 'rejected', 'timeout'] as const),
  ]
  return { fake: codes.toSorted(), adapter: [...codes, ...oddCodes].toSorted() }
})()

export const failures: readonly PostBehaviour[] = [
  ...forced.map(
    ([error, retryable, isKnown]): PostBehaviour => ({
      id: `errors/${error}`,
      sentence: `A service that refuses so is ${error} on every operation, and the next call goes through.`,
      needs: ['force', 'inside'],
      async check(context) {
        const { port, force } = context
        const text = freshText()
        const { id } = await port.publish({ text: freshText() })
        force?.('publish', { error })
        const failed = await expectPortError(port.publish({ text }), error, {
          retryable,
          operation: 'publish',
        })
        if (isKnown) assert.equal(failed.outcome, 'not-applied')
        assert.notEqual(failed.outcome, 'applied')
        force?.('get', { error })
        await expectPortError(port.get(id), error, {
          retryable,
          outcome: 'not-applied',
          operation: 'get',
          subject: id,
        })
        force?.('delete', { error })
        await expectPortError(port.delete(id), error, { retryable, operation: 'delete', subject: id })
        assert.deepEqual(
          inside(context)
            .posts()
            .map((post) => post.id),
          [id],
        )
        await port.publish({ text })
        await port.delete(id)
      },
    }),
  ),
  {
    id: 'errors/retry-after',
    sentence: 'The time that a rate-limited service asks for is in the error, to the second.',
    needs: ['force'],
    async check({ port, force }) {
      force?.('publish', { error: 'rate-limited', retryAfterMs: 90_000 })
      const { retryAfterMs } = await expectPortError(port.publish({ text: freshText() }), 'rate-limited')
      assert.ok(
        retryAfterMs !== undefined && retryAfterMs >= 90_000 && retryAfterMs <= 91_000,
        String(retryAfterMs),
      )
    },
  },
  {
    id: 'errors/lost-answer-is-unknown',
    sentence:
      'Where the post was published and the answer lost, the outcome is unknown, and a second try says duplicate.',
    needs: ['force', 'inside'],
    async check(context) {
      const { port, force } = context
      const text = freshText()
      force?.('publish', { error: 'unavailable', when: 'after' })
      await expectPortError(port.publish({ text }), 'unavailable', { outcome: 'unknown', retryable: true })
      assert.deepEqual(
        inside(context)
          .posts()
          .map((post) => post.text),
        [text],
      )
      await expectPortError(port.publish({ text }), 'rejected', { reason: 'duplicate' })
      assert.equal(inside(context).posts().length, 1)
    },
  },
  {
    id: 'errors/lost-answer-of-delete',
    sentence:
      'Where a deletion was done and the answer lost, the outcome is unknown, and a second try resolves.',
    needs: ['force', 'inside'],
    async check(context) {
      const { port, force } = context
      const { id } = await port.publish({ text: freshText() })
      force?.('delete', { error: 'unavailable', when: 'after' })
      await expectPortError(port.delete(id), 'unavailable', { outcome: 'unknown' })
      assert.equal(inside(context).posts().length, 0)
      await port.delete(id)
    },
  },
  {
    id: 'errors/retry-after-a-lost-answer',
    sentence:
      'After answers that were lost again and again, what was published stands once, and the retry knows by duplicate.',
    needs: ['force', 'inside'],
    async check(context) {
      const { port, force } = context
      const text = freshText()
      force?.('publish', { error: 'unavailable', when: 'before' })
      await expectPortError(port.publish({ text }), 'unavailable', { retryable: true })
      assert.deepEqual(texts(context), [])
      force?.('publish', { error: 'unavailable', when: 'after' })
      await expectPortError(port.publish({ text }), 'unavailable', { outcome: 'unknown' })
      force?.('publish', { error: 'unavailable', when: 'before' })
      await expectPortError(port.publish({ text }), 'unavailable')
      await expectPortError(port.publish({ text }), 'rejected', {
        reason: 'duplicate',
        outcome: 'not-applied',
        retryable: false,
      })
      assert.deepEqual(texts(context), [text])
    },
  },
  {
    id: 'errors/lost-answer-of-get',
    sentence: 'A lost answer of get is unavailable and not applied: reading changes nothing.',
    needs: ['force'],
    async check({ port, force }) {
      const published = await port.publish({ text: freshText() })
      force?.('get', { error: 'unavailable', when: 'after' })
      await expectPortError(port.get(published.id), 'unavailable', {
        outcome: 'not-applied',
        retryable: true,
      })
      assert.deepEqual(await port.get(published.id), published)
    },
  },
  {
    id: 'errors/corrupt',
    sentence: 'An answer that makes no sense is corrupt and not retryable, and the next call goes through.',
    needs: ['force'],
    async check({ port, force }) {
      const published = await port.publish({ text: freshText() })
      force?.('get', { error: 'corrupt' })
      await expectPortError(port.get(published.id), 'corrupt', { retryable: false, outcome: 'not-applied' })
      assert.deepEqual(await port.get(published.id), published)
    },
  },
  {
    id: 'errors/rejected-by-the-service',
    sentence:
      'A post that the service rejects for a reason of its own is rejected or permission-denied, not applied.',
    needs: ['force', 'inside'],
    async check(context) {
      const { port, force } = context
      for (const reason of ['duplicate', 'missing-post', 'too-many-cashtags']) {
        force?.('publish', { error: 'rejected', reason })
        await expectPortError(port.publish({ text: freshText() }), 'rejected', {
          reason,
          outcome: 'not-applied',
          retryable: false,
        })
      }
      assert.deepEqual(texts(context), [])
    },
  },
  {
    id: 'errors/of-one-call-alone',
    sentence: 'Of calls at the same time only the one that the service refuses fails.',
    needs: ['force', 'inside'],
    async check(context) {
      const { port, force } = context
      force?.('publish', { error: 'rate-limited', retryAfterMs: 1_000 })
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, () => port.publish({ text: freshText() })),
      )
      const refused = results.filter(({ status }) => status === 'rejected')
      assert.equal(refused.length, 1)
      assert.equal(texts(context).length, 5)
    },
  },
  {
    id: 'errors/secrets-in-answers',
    sentence:
      'No error of an answer shows a secret of the configuration, or the text that was to be published.',
    needs: ['force', 'canaries'],
    async check({ port, force, canaries = [] }) {
      for (const error of [
        'unauthenticated',
        'permission-denied',
        'rate-limited',
        'unavailable',
        'quota-exceeded',
      ] as const) {
        const text = freshText('confidential')
        force?.('publish', { error })
        const shown = inspect(await expectPortError(port.publish({ text }), error), {
          depth: 12,
          showHidden: true,
        })
        for (const canary of [...canaries, text])
          assert.ok(!shown.includes(canary), `${error} shows a secret`)
      }
    },
  },
]
