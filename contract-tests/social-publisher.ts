/** What every publisher of posts does. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PortError, type PortErrorCode } from '../src/errors.ts'
import {
  type PublishedPost,
  type SocialPost,
  SocialPublisher,
  weightedLength,
} from '../src/ports/social-publisher.ts'
import { commonBehaviours } from './common.ts'
import { type Behaviour, type BehaviourContext, type Contract, defineContract } from './contract.ts'
import { expectPortError } from './expect.ts'

/** The `inside` that this contract can use. */
export interface SocialPublisherInside {
  /** Every post that stands, oldest first. */
  posts(): readonly (PublishedPost & { readonly inReplyTo: string | undefined })[]
  /** How many posts and deletions a rate-limit window takes, and how long it is. */
  readonly publishLimit: number
  readonly deleteLimit: number
  readonly limitWindowMs: number
}

type Context = BehaviourContext<SocialPublisher>

/** An id that no post has. */
const absentId = '1'

function inside({ inside: given }: Context): SocialPublisherInside {
  return given as SocialPublisherInside
}

let posts = 0
/** A text that no other call of this run has used: real services remember. */
function freshText(about = 'Sold out'): string {
  posts += 1
  return `${about} (${posts}, ${Math.random().toString(36).slice(2)})`
}

const publishing: readonly Behaviour<SocialPublisher>[] = [
  {
    id: 'publish/can-be-got',
    sentence: 'A published post can be got under its id, with its text.',
    async check({ port }) {
      const text = freshText()
      const published = await port.publish({ text })
      assert.equal(published.text, text)
      assert.match(published.id, /^[0-9]{1,19}$/)
      assert.deepEqual(await port.get(published.id), published)
    },
  },
  {
    id: 'publish/ids-grow',
    sentence: 'Of two posts the later has the greater id, and no id is given twice.',
    async check({ port }) {
      const ids: bigint[] = []
      for (let count = 0; count < 5; count += 1)
        ids.push(BigInt((await port.publish({ text: freshText() })).id))
      assert.deepEqual(
        ids,
        ids.toSorted((a, b) => (a < b ? -1 : 1)),
      )
      assert.equal(new Set(ids).size, ids.length)
    },
  },
  {
    id: 'publish/text-is-unchanged',
    sentence:
      'Text in any script, with emoji, quotes, line breaks and what looks like markup is kept as it is.',
    async check({ port }) {
      for (const about of [
        'Grüße, 日本語 العربية',
        '👩‍👩‍👧‍👦 👍🏽 ❤️',
        'a\nb\tc',
        '"\\{}',
        'e\u0301',
        ' padded ',
      ]) {
        const text = freshText(about)
        const { id } = await port.publish({ text })
        assert.equal((await port.get(id))?.text, text)
      }
    },
  },
  {
    id: 'publish/up-to-280-weighted-characters',
    sentence:
      'A text of 280 weighted characters is published, and one more is invalid-argument before any I/O.',
    async check({ port }) {
      const unit = freshText().slice(0, 20).padEnd(20, 'x')
      for (const [fill, weight] of [
        ['a', 1],
        ['日', 2],
        ['👩‍👩‍👧‍👦', 2],
      ] as const) {
        const text = unit + fill.repeat((280 - 20) / weight)
        assert.equal(weightedLength(text), 280)
        assert.equal((await port.publish({ text })).text, text)
        await expectPortError(port.publish({ text: `${text}a` }), 'invalid-argument', {
          outcome: 'not-applied',
        })
      }
      const long = `${freshText()} https://example.org/${'path/'.repeat(100)}`
      await port.publish({ text: long })
    },
  },
  {
    id: 'publish/duplicate-is-rejected',
    sentence:
      'The same text again is rejected with reason duplicate, not applied, and the first post stands.',
    async check(context) {
      const { port } = context
      const text = freshText()
      const first = await port.publish({ text })
      const expected = { reason: 'duplicate', outcome: 'not-applied', retryable: false } as const
      await expectPortError(port.publish({ text }), 'rejected', expected)
      assert.deepEqual(await port.get(first.id), first)
      await port.publish({ text: freshText() })
    },
  },
  {
    id: 'publish/racers-publish-once',
    sentence: 'Of several calls with one text at the same time exactly one is published.',
    async check({ port }) {
      const text = freshText()
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => port.publish({ text })))
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const result of results) {
        if (result.status === 'fulfilled') continue
        assert.ok(PortError.is(result.reason) && result.reason.reason === 'duplicate', String(result.reason))
      }
    },
  },
  {
    id: 'publish/many-at-once',
    sentence: 'Posts published at the same time all stand, each with its own id and text.',
    async check({ port }) {
      const texts = Array.from({ length: 20 }, () => freshText())
      const published = await Promise.all(texts.map((text) => port.publish({ text })))
      assert.deepEqual(
        published.map(({ text }) => text),
        texts,
      )
      const got = await Promise.all(published.map(({ id }) => port.get(id)))
      assert.deepEqual(got, published)
    },
  },
  {
    id: 'publish/copies-the-post',
    sentence:
      'What the caller changes in the post after the call is not published, nor what it changes in an answer.',
    async check({ port }) {
      const text = freshText()
      const post = { text }
      const pending = port.publish(post)
      post.text = 'changed'
      const published = await pending
      assert.equal(published.text, text)
      Object.assign(published, { text: 'changed' })
      assert.equal((await port.get(published.id))?.text, text)
    },
  },
  {
    id: 'reply/to-a-post',
    sentence: 'A reply to a post that stands is published as one.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      const { id } = await port.publish({ text: freshText() })
      const reply = await port.publish({ text: freshText('Thanks'), inReplyTo: id })
      assert.equal(
        inside(context)
          .posts()
          .find((post) => post.id === reply.id)?.inReplyTo,
        id,
      )
    },
  },
  {
    id: 'reply/to-a-missing-post',
    sentence:
      'A reply to a post that is absent or deleted is rejected with reason missing-post, and not applied.',
    async check({ port }) {
      const expected = { reason: 'missing-post', outcome: 'not-applied', retryable: false } as const
      await expectPortError(port.publish({ text: freshText(), inReplyTo: absentId }), 'rejected', expected)
      const { id } = await port.publish({ text: freshText() })
      await port.delete(id)
      await expectPortError(port.publish({ text: freshText(), inReplyTo: id }), 'rejected', {
        ...expected,
        subject: id,
      })
    },
  },
]

const reading: readonly Behaviour<SocialPublisher>[] = [
  {
    id: 'get/absent-is-undefined',
    sentence: 'Getting a post that was never there is undefined.',
    async check({ port }) {
      assert.equal(await port.get(absentId), undefined)
      assert.equal(await port.get('9999999999999999999'), undefined)
    },
  },
  {
    id: 'delete/then-absent',
    sentence: 'A deleted post is absent, and others are not.',
    async check({ port }) {
      const gone = await port.publish({ text: freshText() })
      const stays = await port.publish({ text: freshText() })
      assert.equal(await port.delete(gone.id), undefined)
      assert.equal(await port.get(gone.id), undefined)
      assert.deepEqual(await port.get(stays.id), stays)
    },
  },
  {
    id: 'delete/absent-resolves',
    sentence: 'Deleting what is absent, or deleting twice, resolves.',
    async check({ port }) {
      await port.delete(absentId)
      const { id } = await port.publish({ text: freshText() })
      await port.delete(id)
      await port.delete(id)
    },
  },
]

const badInput: readonly Behaviour<SocialPublisher>[] = [
  {
    id: 'bad-input/posts',
    sentence: 'An empty, blank, too long or malformed post is invalid-argument, and nothing is published.',
    needs: ['inside'],
    async check(context) {
      const bad: readonly unknown[] = [
        undefined,
        null,
        'text',
        7,
        [],
        {},
        { text: 7 },
        { text: null },
        { text: '' },
        { text: ' \n\t' },
        { text: 'a'.repeat(281) },
        { text: '日'.repeat(141) },
        { text: 'a'.repeat(1_000_000) },
        { text: 'a\0b' },
        { text: '\ud800' },
        { text: 'a\ufeff' },
        { text: 'a\u001bb' },
        { text: 'a', media: [] },
        ...['', 'abc', '-1', '1.5', '1'.repeat(20), '１', '1/../2', 1].map((inReplyTo) => ({
          text: 'a',
          inReplyTo,
        })),
      ]
      for (const post of bad) {
        await expectPortError(context.port.publish(post as SocialPost), 'invalid-argument').catch(
          (error: unknown) => assert.fail(`${JSON.stringify(post)?.slice(0, 80)}: ${String(error)}`),
        )
      }
      assert.equal(inside(context).posts().length, 0)
    },
  },
  {
    id: 'bad-input/ids',
    sentence:
      'An id that is not 1 to 19 digits is invalid-argument, and reaches no other address of the service.',
    async check({ port }) {
      const bad = [
        '',
        'abc',
        '-1',
        '1.5',
        '1'.repeat(20),
        '１',
        '1/../2',
        '..',
        '1?a=b',
        '%31',
        '1\n',
        ' 1',
        1,
        null,
      ]
      for (const id of bad as string[]) {
        await expectPortError(port.get(id), 'invalid-argument', { operation: 'get' })
        await expectPortError(port.delete(id), 'invalid-argument', { operation: 'delete' })
      }
    },
  },
  {
    id: 'bad-input/any-text-is-refused-or-kept',
    sentence: 'Any text is either refused as invalid-argument or published as it is.',
    async check({ port }) {
      const text = fc.string({
        unit: fc.oneof(
          fc.constantFrom('\ud800', '\0', '\ufeff', 'https://a.co', '日'),
          fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
        ),
        maxLength: 160,
      })
      await fc.assert(
        fc.asyncProperty(text, async (any) => {
          try {
            const { id, text: kept } = await port.publish({ text: any })
            assert.equal(kept, any)
            assert.equal((await port.get(id))?.text, any)
          } catch (error) {
            if (!PortError.is(error)) throw error
            assert.ok(error.code === 'invalid-argument' || error.reason === 'duplicate', String(error))
          }
        }),
        { numRuns: 80 },
      )
    },
  },
]

const limits: readonly Behaviour<SocialPublisher>[] = [
  {
    id: 'rate-limit/publish',
    sentence: 'Beyond the limit publishing is rate-limited with the time to wait, and works again after it.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { publishLimit, limitWindowMs } = inside(context)
      for (let count = 0; count < publishLimit; count += 1) await port.publish({ text: freshText() })
      const text = freshText()
      const error = await expectPortError(port.publish({ text }), 'rate-limited', {
        outcome: 'not-applied',
        retryable: true,
      })
      const { retryAfterMs = 0 } = error
      assert.ok(retryAfterMs > 0 && retryAfterMs <= limitWindowMs + 1_000, `retryAfterMs is ${retryAfterMs}`)
      assert.equal(inside(context).posts().length, publishLimit)
      await passTime?.(retryAfterMs)
      await port.publish({ text })
    },
  },
  {
    id: 'rate-limit/delete',
    sentence: 'Deletions have a limit of their own.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { id } = await port.publish({ text: freshText() })
      for (let count = 0; count < inside(context).deleteLimit; count += 1) await port.delete(absentId)
      const { retryAfterMs = 0 } = await expectPortError(port.delete(id), 'rate-limited', {
        outcome: 'not-applied',
      })
      assert.ok(await port.get(id), 'the post stands')
      await port.publish({ text: freshText() })
      await passTime?.(retryAfterMs)
      await port.delete(id)
      assert.equal(await port.get(id), undefined)
    },
  },
]

const forced: readonly (readonly [PortErrorCode, boolean, boolean])[] = [
  // code, retryable, whether the service says that nothing was done
  ['unavailable', true, false],
  ['rate-limited', true, true],
  ['unauthenticated', false, true],
  ['permission-denied', false, true],
  ['quota-exceeded', false, true],
]

const failing: readonly Behaviour<SocialPublisher>[] = [
  ...forced.map(
    ([error, retryable, isKnown]): Behaviour<SocialPublisher> => ({
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
    id: 'errors/abort-tells-the-truth',
    sentence:
      'A publish that is aborted at any moment says cancelled or its post, and what it says of its outcome holds.',
    needs: ['inside'],
    async check(context) {
      const told = new Map<string, string>()
      // As long as one call takes here: the aborts are spread over that time, and a little beyond.
      const started = performance.now()
      await context.port.publish({ text: freshText() })
      const callMs = performance.now() - started
      const rounds = 16
      for (let round = 0; round < rounds; round += 1) {
        const text = freshText()
        const controller = new AbortController()
        const pending = context.port.publish({ text }, { signal: controller.signal }).then(
          () => 'applied',
          (error: unknown) => {
            assert.ok(PortError.is(error) && error.code === 'cancelled', String(error))
            return error.outcome
          },
        )
        await new Promise((resolve) => setTimeout(resolve, (callMs * 1.2 * round) / rounds))
        controller.abort()
        told.set(text, await pending)
      }
      await context.port.publish({ text: freshText() })
      const stands = inside(context)
        .posts()
        .map(({ text }) => text)
      for (const [text, outcome] of told) {
        const times = stands.filter((one) => one === text).length
        if (outcome === 'not-applied') assert.equal(times, 0, text)
        else if (outcome === 'applied') assert.equal(times, 1, text)
        else assert.ok(times <= 1, text)
      }
    },
  },
]

/** The contract of {@link SocialPublisher}. */
export const socialPublisherContract: Contract<SocialPublisher> = defineContract(SocialPublisher, [
  ...commonBehaviours(SocialPublisher, {
    publish: (port, options) => port.publish({ text: freshText() }, options),
    get: (port, options) => port.get(absentId, options),
    delete: (port, options) => port.delete(absentId, options),
  }),
  ...publishing,
  ...reading,
  ...badInput,
  ...limits,
  ...failing,
])
