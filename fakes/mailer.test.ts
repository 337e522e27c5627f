import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../src/calls/clock.ts'
import type { MailMessage } from '../src/ports/mailer.ts'
import { FakeMailer, fake } from './mailer.ts'

const mail: MailMessage = { from: 'shop@example.com', to: ['ada@example.org'], subject: 'Hi', text: 'Hi' }

describe('the outbox', () => {
  test('holds each mail with its envelope, its time and its message id', async () => {
    const clock = new VirtualClock(new Date('2026-05-01T12:00:00Z'))
    const mailer = new FakeMailer({ clock })
    clock.advance(1_000)
    const { messageId } = await mailer.send({ ...mail, bcc: ['bob@example.org'] })
    expect(mailer.outbox).toEqual([
      {
        messageId,
        at: new Date('2026-05-01T12:00:01Z'),
        message: { ...mail, bcc: ['bob@example.org'], messageId },
        recipients: ['ada@example.org', 'bob@example.org'],
        refused: [],
        source: undefined,
      },
    ])
  })

  test('is seen by recipient, in any case of letters', async () => {
    const mailer = new FakeMailer()
    await mailer.send(mail)
    await mailer.send({ ...mail, to: ['bob@example.org'], cc: ['Ada@Example.org'] })
    await mailer.send({ ...mail, to: ['bob@example.org'] })
    expect(mailer.outboxOf('ada@example.org')).toHaveLength(2)
    expect(mailer.outboxOf('eve@example.org')).toEqual([])
  })

  test('is a copy: changing what it gives changes nothing', async () => {
    const mailer = new FakeMailer()
    await mailer.send({ ...mail, attachments: [{ filename: 'a', content: Uint8Array.of(1) }] })
    const [seen] = mailer.outbox
    if (seen === undefined) throw new Error('the outbox is empty')
    ;(seen.recipients as string[]).push('x')
    for (const { content } of seen.message.attachments ?? []) (content as Uint8Array).fill(9)
    seen.at.setTime(0)
    const [again] = mailer.outbox
    expect(again?.recipients).toEqual(['ada@example.org'])
    expect(again?.message.attachments?.[0]?.content).toEqual(Uint8Array.of(1))
    expect(again?.at.getTime()).not.toBe(0)
  })

  test('gives the same message ids for the same seed', async () => {
    const ids = async (seed: number): Promise<string> => (await new FakeMailer({ seed }).send(mail)).messageId
    expect(await ids(7)).toBe(await ids(7))
    expect(await ids(7)).not.toBe(await ids(8))
  })
})

describe('conditions', () => {
  test('a refused recipient is accepted again when told so', async () => {
    const mailer = new FakeMailer()
    mailer.refuse('ada@example.org')
    await expect(mailer.send(mail)).rejects.toMatchObject({ code: 'rejected', reason: 'bad-recipient' })
    expect(mailer.refusalOf('ADA@example.org')).toEqual({ reason: 'no such user here', retryable: false })
    mailer.accept('Ada@example.org')
    await mailer.send(mail)
    expect(mailer.outbox).toHaveLength(1)
  })

  test.each([[{ reason: 'two\nlines' }], [{ retryable: 'yes' as never }], [{ reson: 'typo' } as never]])(
    'a refusal %j is refused',
    (refusal) => {
      expect(() => new FakeMailer().refuse('ada@example.org', refusal)).toThrow(
        expect.objectContaining({ code: 'invalid-argument' }),
      )
    },
  )

  test.each([0, -1, 1.5, Number.NaN, 1e12])('a size limit of %d is refused', (maxBytes) => {
    expect(() => new FakeMailer().limitSize(maxBytes)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })

  test('recipients beyond the limit are refused for now, and the others get the mail', async () => {
    const mailer = new FakeMailer()
    mailer.limitRecipients(1)
    expect(mailer.maxRecipients).toBe(1)
    const { accepted, refused } = await mailer.send({ ...mail, cc: ['bob@example.org'] })
    expect(accepted).toEqual(['ada@example.org'])
    expect(refused).toEqual([
      { recipient: 'bob@example.org', reason: 'too many recipients', retryable: true },
    ])
  })

  test("a greylist keeps each sender and recipient waiting once, on the fake's clock", async () => {
    const clock = new VirtualClock()
    const mailer = new FakeMailer({ clock })
    mailer.greylist(60_000)
    await expect(mailer.send(mail)).rejects.toMatchObject({ code: 'rejected', retryable: true })
    clock.advance(59_999)
    await expect(mailer.send(mail)).rejects.toMatchObject({
      details: { 'ada@example.org': 'greylisted, try again in 1 seconds' },
    })
    clock.advance(1)
    await mailer.send(mail)
    await mailer.send({ ...mail, to: ['ADA@example.org'] })
    await expect(mailer.send({ ...mail, from: 'other@example.com' })).rejects.toMatchObject({
      retryable: true,
    })
    mailer.greylist(0)
    await mailer.send({ ...mail, from: 'other@example.com' })
  })

  test('a recipient that is refused for good is not first greylisted', () => {
    const mailer = new FakeMailer()
    mailer.greylist(60_000)
    mailer.refuse('ada@example.org')
    const attempt = { recipient: 'ada@example.org', from: 'a@example.com' }
    expect(mailer.judge(attempt)).toMatchObject({ cause: 'refused', retryable: false })
    mailer.accept('ada@example.org')
    expect(mailer.judge(attempt)).toMatchObject({ cause: 'greylisted', retryable: true })
    expect(mailer.judge({ ...attempt, client: '192.0.2.1' })).toMatchObject({ cause: 'greylisted' })
  })

  test.each([0, -1, 1.5, 1_001])('a limit of %d recipients is refused', (maxRecipients) => {
    expect(() => new FakeMailer().limitRecipients(maxRecipients)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })

  test('a mail that is seeded was sent before anyone was refused', () => {
    const mailer = new FakeMailer()
    mailer.refuse('ada@example.org')
    mailer.greylist(1_000)
    mailer.seed({ ...mail, to: ['ada@example.org'] })
    expect(mailer.outbox).toMatchObject([{ recipients: ['ada@example.org'], refused: [] }])
  })

  test('recipients beyond the limit are refused for now, and the others get the mail', async () => {
    const mailer = new FakeMailer()
    mailer.limitRecipients(1)
    expect(mailer.maxRecipients).toBe(1)
    const { accepted, refused } = await mailer.send({ ...mail, cc: ['bob@example.org'] })
    expect(accepted).toEqual(['ada@example.org'])
    expect(refused).toEqual([
      { recipient: 'bob@example.org', reason: 'too many recipients', retryable: true },
    ])
  })

  test("a greylist keeps each sender and recipient waiting once, on the fake's clock", async () => {
    const clock = new VirtualClock()
    const mailer = new FakeMailer({ clock })
    mailer.greylist(60_000)
    await expect(mailer.send(mail)).rejects.toMatchObject({ code: 'rejected', retryable: true })
    clock.advance(59_999)
    await expect(mailer.send(mail)).rejects.toMatchObject({
      details: { 'ada@example.org': 'greylisted, try again in 1 seconds' },
    })
    clock.advance(1)
    await mailer.send(mail)
    await mailer.send({ ...mail, to: ['ADA@example.org'] })
    await expect(mailer.send({ ...mail, from: 'other@example.com' })).rejects.toMatchObject({
      retryable: true,
    })
    mailer.greylist(0)
    await mailer.send({ ...mail, from: 'other@example.com' })
  })

  test('a recipient that is refused for good is not first greylisted', () => {
    const mailer = new FakeMailer()
    mailer.greylist(60_000)
    mailer.refuse('ada@example.org')
    const attempt = { recipient: 'ada@example.org', from: 'a@example.com' }
    expect(mailer.judge(attempt)).toMatchObject({ cause: 'refused', retryable: false })
    mailer.accept('ada@example.org')
    expect(mailer.judge(attempt)).toMatchObject({ cause: 'greylisted', retryable: true })
    expect(mailer.judge({ ...attempt, client: '192.0.2.1' })).toMatchObject({ cause: 'greylisted' })
  })

  test.each([0, -1, 1.5, 1_001])('a limit of %d recipients is refused', (maxRecipients) => {
    expect(() => new FakeMailer().limitRecipients(maxRecipients)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })

  test('a mail that is seeded is there without call, and must be possible', () => {
    const mailer = new FakeMailer()
    mailer.faults.always('send', { error: 'unavailable' })
    mailer.seed(mail, { ...mail, subject: 'Two' })
    expect(mailer.outbox.map(({ message }) => message.subject)).toEqual(['Hi', 'Two'])
    expect(mailer.journal.entries).toEqual([])
    expect(() => mailer.seed({ ...mail, to: [] })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })

  test('reset forgets mails, refusals, limit, faults and journal', async () => {
    const mailer = new FakeMailer()
    await mailer.send(mail)
    mailer.refuse('ada@example.org')
    mailer.limitSize(1)
    mailer.greylist(60_000)
    mailer.limitRecipients(1)
    mailer.faults.always('send', { error: 'unavailable' })
    mailer.reset()
    expect([mailer.outbox, mailer.journal.entries, mailer.faults.pending]).toEqual([[], [], []])
    expect((await mailer.send({ ...mail, cc: ['bob@example.org'] })).accepted).toHaveLength(2)
  })
})

test('a fault after the mail was taken leaves it in the outbox; one before does not', async () => {
  const mailer = new FakeMailer()
  mailer.faults.next('send', { error: 'unavailable', when: 'before' })
  await expect(mailer.send(mail)).rejects.toMatchObject({ outcome: 'not-applied' })
  expect(mailer.outbox).toHaveLength(0)
  mailer.faults.next('send', { error: 'unavailable', when: 'after' })
  await expect(mailer.send(mail)).rejects.toMatchObject({ outcome: 'unknown' })
  expect(mailer.outbox).toHaveLength(1)
})

test('a fault may be for one recipient', async () => {
  const mailer = new FakeMailer()
  mailer.faults.next('send', { error: 'unavailable', match: 'bob@example.org' })
  await mailer.send(mail)
  await expect(mailer.send({ ...mail, to: ['bob@example.org'] })).rejects.toMatchObject({
    code: 'unavailable',
  })
})

test('the journal tells what each call did', async () => {
  const mailer = new FakeMailer()
  mailer.refuse('bob@example.org')
  const { messageId } = await mailer.send({ ...mail, cc: ['bob@example.org'] })
  expect(mailer.journal.entries).toMatchObject([
    {
      operation: 'send',
      subject: 'ada@example.org',
      effects: [`accepted ${messageId} for 1 of 2 recipients`],
      result: 'ok',
    },
  ])
})

test('attach makes it with service and clock', () => {
  const clock = new VirtualClock()
  const mailer = fake.create({ service: 'mail', clock })
  expect(mailer.clock).toBe(clock)
  expect(fake.port.name).toBe('mailer')
})
