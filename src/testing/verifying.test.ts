import assert from 'node:assert/strict'
import { describe, expect, test } from 'vitest'
import { Mailer, type MailMessage } from '../ports/mailer.ts'
import { SocialPublisher } from '../ports/social-publisher.ts'
import { MockVerificationError, mock, sequence, UnexpectedCallError, verifying } from './index.ts'

const message: MailMessage = { from: 'a@example.com', to: ['b@example.com'], subject: 's', text: 't' }

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => assert.fail('nothing was thrown'),
    (error: unknown) => error,
  )

describe('verifying', () => {
  test('answers with what the body does where every expected call came', async () => {
    const posts = mock(SocialPublisher)
    posts.expect.delete('1').resolves()

    expect(await verifying(posts, () => posts.port.delete('1').then(() => 'done'))).toBe('done')
  })

  test('throws the problems of all the mocks as one', async () => {
    const [mail, posts] = [mock(Mailer), mock(SocialPublisher)]
    posts.expect.delete('1').resolves()
    const error = await thrownBy(verifying([mail, posts], () => mail.port.send(message).catch(() => {})))

    assert(error instanceof MockVerificationError)
    expect(error.problems.map((problem) => problem.split('\n')[0])).toEqual([
      'unexpected call:',
      'an expected call did not come (came 0 of 1 time):',
    ])
    expect(error.message).toMatch(/^2 problems:\n\n1\. unexpected call:/)
    expect(error.cause).toBeInstanceOf(UnexpectedCallError)
  })

  test('verifies all mocks of a sequence', async () => {
    const inOrder = sequence()
    mock(Mailer, { sequence: inOrder }).expect.send(message)

    await expect(verifying(inOrder, () => {})).rejects.toBeInstanceOf(MockVerificationError)
  })

  test('throws what the body does, with the swallowed call as its cause', async () => {
    const mail = mock(Mailer)
    const own = new Error('the mail was not sent')
    const error = await thrownBy(
      verifying(mail, async () => {
        await mail.port.send(message).catch(() => {})
        throw own
      }),
    )

    expect(error).toBe(own)
    expect(own.cause).toBeInstanceOf(MockVerificationError)
  })

  test('leaves alone an error that has a cause, is the unexpected call itself, or cannot be changed', async () => {
    const causes = [new Error('first', { cause: 'known' }), Object.freeze(new Error('frozen')), 'no error']
    for (const own of causes) {
      const mail = mock(Mailer)
      const body = () => mail.port.send(message).catch(() => Promise.reject(own))
      expect(await thrownBy(verifying(mail, body))).toBe(own)
    }
    expect(causes[0]).toMatchObject({ cause: 'known' })

    const mail = mock(Mailer)
    const unexpected = await thrownBy(verifying(mail, () => mail.port.send(message)))
    expect(unexpected).toBeInstanceOf(UnexpectedCallError)
    expect(unexpected).not.toHaveProperty('cause')
  })

  test('does not blame calls that are missing because the body failed', async () => {
    const mail = mock(Mailer)
    mail.expect.send(message)
    const own = new Error('too early')

    expect(await thrownBy(verifying(mail, () => Promise.reject(own)))).toBe(own)
    expect(own).not.toHaveProperty('cause')
  })
})
