/**
 * What is made of answers that the service should not give, or gives in unusual ways: of a proxy before it, in the
 * middle of an outage, or after a change of its API. Nothing of them passes for a post.
 */
import assert from 'node:assert/strict'
import type { PortErrorCode } from '../../src/errors.ts'
import type { SocialPublisher } from '../../src/ports/social-publisher.ts'
import { type ExpectedError, expectPortError } from '../expect.ts'
import { absentId, type Context, freshText, inside, type OddAnswer, type PostBehaviour } from './samples.ts'

type Row = readonly [
  answer: OddAnswer,
  operation: keyof SocialPublisher,
  code: PortErrorCode,
  expected: Pick<ExpectedError, 'outcome' | 'retryable'>,
]

// A success that cannot be read was one: the post is out there.
const done = { outcome: 'applied', retryable: false } as const
const open = { outcome: 'unknown', retryable: false } as const
const nothing = { outcome: 'not-applied', retryable: false } as const

const failing: readonly Row[] = [
  ['a page', 'publish', 'corrupt', done],
  ['a page', 'get', 'corrupt', nothing],
  ['nothing', 'publish', 'corrupt', done],
  ['a list', 'publish', 'corrupt', done],
  ['null', 'publish', 'corrupt', done],
  ['no post', 'publish', 'corrupt', done],
  ['more than anyone would send', 'publish', 'corrupt', done],
  ['more than anyone would send, as a failure', 'publish', 'corrupt', open],
  ['an id that is a number', 'publish', 'corrupt', done],
  ['an id of letters', 'publish', 'corrupt', done],
  ['an id with more before it', 'publish', 'corrupt', done],
  ['an id with more behind it', 'publish', 'corrupt', done],
  ['no text', 'publish', 'corrupt', done],
  ['no text', 'get', 'corrupt', nothing],
  ['a deletion that is none', 'delete', 'corrupt', open],
  ['a deletion without a word on it', 'delete', 'corrupt', open],
  ['a post that may not be seen in a success', 'get', 'permission-denied', nothing],
  ['a refusal of the credentials in a success', 'publish', 'unauthenticated', nothing],
  ['a failure in a success', 'publish', 'unavailable', { outcome: 'unknown', retryable: true }],
  ['a problem in a success', 'publish', 'unavailable', { outcome: 'unknown', retryable: true }],
  ['words in a success', 'publish', 'corrupt', done],
  ['a redirection', 'publish', 'internal', nothing],
  ['a redirection', 'get', 'internal', nothing],
  ['a bad request', 'publish', 'invalid-argument', nothing],
  ['no such address', 'publish', 'not-found', nothing],
  ['not implemented', 'publish', 'unsupported', nothing],
  ['an odd refusal', 'publish', 'internal', nothing],
  ['a failure', 'publish', 'unavailable', { outcome: 'unknown', retryable: true }],
  ['a failure', 'get', 'unavailable', { outcome: 'not-applied', retryable: true }],
  ['a full window', 'publish', 'rate-limited', { outcome: 'not-applied', retryable: true }],
]

function answerNext(context: Context, answer: OddAnswer): void {
  const { answerNext: force } = inside(context)
  assert.ok(force, 'a subject with a network has answerNext')
  force(answer)
}

const slug = (text: string): string => text.replace(/[^a-z]+/g, '-')

export const oddAnswers: readonly PostBehaviour[] = [
  ...failing.map(
    ([answer, operation, code, expected]): PostBehaviour => ({
      id: `odd-answers/${slug(answer)}-to-${operation}`,
      sentence: `Where ${operation} is answered with ${answer}, it is ${code}, ${expected.outcome}, and the next call goes through.`,
      needs: ['inside', 'network'],
      async check(context) {
        const { port } = context
        const text = freshText()
        answerNext(context, answer)
        const call = operation === 'publish' ? port.publish({ text }) : port[operation](absentId)
        const { message } = await expectPortError(call, code, expected)
        assert.match(message.replace(/^.*?: /, ''), /\w/, 'it says what happened')
        assert.equal((await port.publish({ text })).text, text)
      },
    }),
  ),
  {
    id: 'odd-answers/absence-in-a-success',
    sentence: 'A success that says that the post is absent is absence, to a get and to a deletion.',
    needs: ['inside', 'network'],
    async check(context) {
      const { id } = await context.port.publish({ text: freshText() })
      answerNext(context, 'an absent post in a success')
      assert.equal(await context.port.get(id), undefined)
      answerNext(context, 'an absent post in a success')
      assert.equal(await context.port.delete(id), undefined)
      answerNext(context, 'no such address')
      assert.equal(await context.port.delete(id), undefined)
      assert.equal((await context.port.get(id))?.id, id)
    },
  },
  {
    id: 'odd-answers/deletion-without-content',
    sentence: 'A deletion that is answered by a success without content is done.',
    needs: ['inside', 'network'],
    async check(context) {
      answerNext(context, 'a deletion without content')
      assert.equal(await context.port.delete(absentId), undefined)
    },
  },
  {
    id: 'odd-answers/post-with-a-problem-beside-it',
    sentence:
      'A post that comes with a problem beside it, such as a part that may not be seen, is that post.',
    needs: ['inside', 'network'],
    async check(context) {
      answerNext(context, 'a post and a problem beside it')
      assert.deepEqual(await context.port.get('7'), { id: '7', text: 'Hi' })
    },
  },
  {
    id: 'odd-answers/when-a-window-ends',
    sentence:
      'The time to wait is that of the window or day that is used up; where the service names none, there is none.',
    needs: ['inside', 'network'],
    async check(context) {
      const waitAfter = async (answer: OddAnswer): Promise<number | undefined> => {
        answerNext(context, answer)
        const call = context.port.publish({ text: freshText() })
        return (await expectPortError(call, 'rate-limited', { retryable: true })).retryAfterMs
      }
      const within = (actual: number | undefined, seconds: number): void => {
        assert.ok(
          actual !== undefined && Math.abs(actual - seconds * 1_000) <= 5_000,
          `retryAfterMs is ${actual}`,
        )
      }
      within(await waitAfter('a full window'), 60)
      within(await waitAfter('a full day of the user'), 3_600)
      assert.equal(await waitAfter('a full window without its end'), undefined)
      assert.equal(await waitAfter('a full window with an end that is none'), undefined)
    },
  },
]
