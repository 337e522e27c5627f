/** Fakes whose state outlives them: save, load, and what is refused. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { VirtualClock } from '../src/calls/clock.ts'
import { FakeMailer } from './mailer.ts'
import { fromPlain, toPlain } from './plain.ts'
import { FakeSocialPublisher } from './social-publisher.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portside-save-'))
})
afterEach(() => rm(folder, { recursive: true }))

const mail = {
  from: 'shop@example.org',
  to: ['ada@example.org', 'gone@example.org'],
  subject: 'Your order',
  text: 'Grüße 🎟',
  attachments: [{ filename: 'a.bin', content: Uint8Array.of(0, 255, 128) }],
}

describe('a saved fake', () => {
  test('of mails has its outbox, refusals and size limit again', async () => {
    const before = new FakeMailer()
    before.refuse('gone@example.org', { reason: 'moved' })
    before.limitSize(10_000)
    before.limitRecipients(7)
    before.greylist(60_000)
    await before.send(mail).catch(() => {})
    ;(before.clock as VirtualClock).advance(60_000)
    await before.send(mail)
    await before.save(folder)
    const after = new FakeMailer()
    await after.load(folder)
    expect(after.outbox).toEqual(before.outbox)
    expect(after.outbox[0]?.message.attachments?.[0]?.content).toEqual(Uint8Array.of(0, 255, 128))
    expect(after.refusalOf('GONE@example.org')).toEqual({ reason: 'moved', retryable: false })
    expect([after.maxBytes, after.maxRecipients]).toEqual([10_000, 7])
    expect(after.journal.entries).toEqual([])
    // Whom it knows it takes at once; a stranger it does not.
    await after.send(mail)
    await expect(after.send({ ...mail, to: ['new@example.org'] })).rejects.toMatchObject({ code: 'rejected' })
  })

  test('of posts knows them, their duplicates, its rate limits, and gives no id twice', async () => {
    const clock = new VirtualClock()
    const before = new FakeSocialPublisher({ clock }, { publishLimit: 3 })
    const post = await before.publish({ text: 'doors open' })
    clock.advance(1_000)
    const gone = await before.publish({ text: 'gone' })
    await before.delete(gone.id)
    await before.save(folder)
    const after = new FakeSocialPublisher({}, { publishLimit: 3 })
    await after.load(folder)
    expect(after.posts).toEqual(before.posts)
    expect(after.rateLimit('publish')).toEqual(before.rateLimit('publish'))
    expect(after.clock.now()).toBe(clock.now())
    await expect(after.publish({ text: 'gone' })).rejects.toMatchObject({ reason: 'duplicate' })
    after.reset()
    const next = await after.publish({ text: 'next' })
    expect(BigInt(next.id) > BigInt(gone.id) && BigInt(gone.id) > BigInt(post.id)).toBe(true)
  })

  test('replaces what was saved before as a whole, and leaves no other file', async () => {
    const mailer = new FakeMailer()
    await mailer.send(mail)
    await mailer.save(folder)
    await mailer.send(mail)
    await mailer.save(folder)
    const again = new FakeMailer()
    await again.load(folder)
    expect(again.outbox).toHaveLength(2)
    expect(await readdir(folder)).toEqual(['state.json'])
  })

  test('that cannot be written leaves what was saved', async () => {
    const mailer = new FakeMailer()
    await mailer.save(folder)
    await expect(mailer.save(join(folder, 'state.json'))).rejects.toThrow(/EEXIST|ENOTDIR/)
    await new FakeMailer().load(folder)
  })

  test.each<[string, (text: string) => string, RegExp]>([
    ['cut short', (text) => text.slice(0, -20), /no JSON/],
    [
      'changed by hand',
      (text) => text.replace('"maxBytes":10000', '"maxBytes":99999'),
      /not as it was written/,
    ],
    ['of a later version', (text) => text.replace('"version":1', '"version":2'), /version 2/],
    [
      "another port's",
      (text) => text.replace('"mailer"', '"social-publisher"'),
      /not the state of a fake of "mailer"/,
    ],
    ['another file', () => '[1, 2]', /not as|version/],
  ])('that was %s is corrupt, and changes nothing', async (_, change, message) => {
    const before = new FakeMailer()
    before.limitSize(10_000)
    await before.save(folder)
    const path = join(folder, 'state.json')
    const text = await readFile(path, 'utf8')
    expect(change(text)).not.toBe(text)
    await writeFile(path, change(text))
    const mailer = new FakeMailer()
    await mailer.send(mail)
    await expect(mailer.load(folder)).rejects.toMatchObject({ code: 'corrupt' })
    await expect(mailer.load(folder)).rejects.toThrow(message)
    expect(mailer.outbox).toHaveLength(1)
  })

  test('that is not there is not-found', async () => {
    await expect(new FakeMailer().load(join(folder, 'none'))).rejects.toMatchObject({ code: 'not-found' })
  })
})

test('what JSON has no words for comes back as it was', () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.uint8Array({ maxLength: 9 }),
    fc.date({ noInvalidDate: true }),
    fc.bigInt(),
  )
  const key = fc.oneof(fc.string(), fc.constantFrom('$bytes', '$date', '$object', '$', '__proto__'))
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
    ),
  }))
  fc.assert(
    fc.property(value, (before) => {
      expect(fromPlain(JSON.parse(JSON.stringify(toPlain(before))))).toEqual(before)
    }),
  )
})

describe('the journal', () => {
  test('goes on after a number, with what has ended, each entry once', async () => {
    const mailer = new FakeMailer()
    const ended: unknown[] = []
    mailer.journal.watch((entry) => ended.push(entry?.sequence))
    await mailer.send(mail)
    const { last } = mailer.journal
    const held = Promise.withResolvers<void>()
    const call = {
      operation: 'send',
      args: [],
      subject: 'held',
      effect: 'write',
      signal: AbortSignal.any([]),
    } as const
    const running = mailer.journal.record(call, () => held.promise)
    await mailer.send(mail)
    expect(mailer.journal.after(last)).toEqual([])
    held.resolve()
    await running
    expect(mailer.journal.after(last).map(({ sequence, result }) => [sequence, result])).toEqual([
      [2, 'ok'],
      [3, 'ok'],
    ])
    mailer.journal.forget()
    expect([mailer.journal.entries, mailer.journal.last]).toEqual([[], 3])
    mailer.journal.clear()
    await mailer.send(mail)
    expect(mailer.journal.after(3).map(({ sequence }) => sequence)).toEqual([1])
    expect(ended).toEqual([1, 3, 2, undefined, 1])
  })

  test('keeps as many as it is told to', async () => {
    const mailer = new FakeMailer()
    await mailer.send(mail)
    mailer.journal.keep(2)
    for (let count = 0; count < 3; count += 1) await mailer.send(mail)
    expect(mailer.journal.entries.map(({ sequence }) => sequence)).toEqual([3, 4])
    mailer.journal.keep(1)
    expect(mailer.journal.entries.map(({ sequence }) => sequence)).toEqual([4])
  })
})

test('faults are listed as JSON can say them, and can be scripted again', async () => {
  const mailer = new FakeMailer()
  mailer.faults.script([
    { operation: 'send', error: 'unavailable', times: 2 },
    { operation: '*', error: 'rate-limited', retryAfterMs: 5, times: 'always' },
  ])
  const listed = JSON.parse(JSON.stringify(mailer.faults.list())) as ReturnType<typeof mailer.faults.list>
  expect(listed.map(({ left }) => left)).toEqual([2, 'always'])
  const other = new FakeMailer()
  other.faults.script(listed.map(({ left: _, ...rule }) => rule))
  expect(other.faults.list()).toEqual(listed)
  await expect(other.guarded.ping()).rejects.toMatchObject({ code: 'rate-limited' })
})
