import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../src/calls/clock.ts'
import { FakeSocialPublisher, fake } from './social-publisher.ts'

const day = 86_400_000

describe('duplicates', () => {
  test('are refused for a day, and then no more', async () => {
    const clock = new VirtualClock()
    const publisher = new FakeSocialPublisher({ clock })
    await publisher.publish({ text: 'Sold out' })
    clock.advance(day - 1)
    await expect(publisher.publish({ text: 'Sold out' })).rejects.toMatchObject({ reason: 'duplicate' })
    clock.advance(1)
    await publisher.publish({ text: 'Sold out' })
  })

  test('are refused as long as it is told', async () => {
    const clock = new VirtualClock()
    const publisher = new FakeSocialPublisher({ clock }, { duplicateWindowMs: 0 })
    await publisher.publish({ text: 'Sold out' })
    await publisher.publish({ text: 'Sold out' })
    expect(publisher.posts).toHaveLength(2)
  })

  test('are refused also after the post was deleted, and in another normal form', async () => {
    const publisher = new FakeSocialPublisher()
    const { id } = await publisher.publish({ text: 'Caf\u00e9' })
    await publisher.delete(id)
    await expect(publisher.publish({ text: ' Cafe\u0301 ' })).rejects.toMatchObject({ reason: 'duplicate' })
  })

  test('are none where they answer different posts', async () => {
    const publisher = new FakeSocialPublisher()
    const first = await publisher.publish({ text: 'a' })
    const second = await publisher.publish({ text: 'b' })
    await publisher.publish({ text: 'Thanks', inReplyTo: first.id })
    await publisher.publish({ text: 'Thanks', inReplyTo: second.id })
  })
})

describe('rate limits', () => {
  test('count every call that reached the service, also one that was refused', async () => {
    const publisher = new FakeSocialPublisher({}, { publishLimit: 3 })
    await publisher.publish({ text: 'a' })
    await expect(publisher.publish({ text: 'a' })).rejects.toMatchObject({ code: 'rejected' })
    expect(publisher.rateLimit('publish')).toMatchObject({ limit: 3, remaining: 1 })
    await publisher.publish({ text: 'b' })
    await expect(publisher.publish({ text: 'c' })).rejects.toMatchObject({ code: 'rate-limited' })
    expect(publisher.rateLimit('publish').remaining).toBe(0)
    expect(publisher.rateLimit('delete')).toMatchObject({ limit: 50, remaining: 50 })
  })

  test('begin anew when their window ends, and not before', async () => {
    const clock = new VirtualClock()
    const publisher = new FakeSocialPublisher({ clock }, { publishLimit: 1, limitWindowMs: 60_000 })
    await publisher.publish({ text: 'a' })
    clock.advance(59_999)
    await expect(publisher.publish({ text: 'b' })).rejects.toMatchObject({ retryAfterMs: 1 })
    clock.advance(1)
    await publisher.publish({ text: 'b' })
  })
})

test('a day’s limit holds beside that of a window, and a refused call counts against neither', async () => {
  const clock = new VirtualClock()
  const publisher = new FakeSocialPublisher(
    { clock },
    { publishLimit: 2, publishLimitPerDay: 3, limitWindowMs: 60_000 },
  )
  await publisher.publish({ text: 'a' })
  await publisher.publish({ text: 'b' })
  await expect(publisher.publish({ text: 'c' })).rejects.toMatchObject({ retryAfterMs: 60_000 })
  expect(publisher.rateLimit('publishPerDay')).toMatchObject({ limit: 3, remaining: 1 })
  clock.advance(60_000)
  await publisher.publish({ text: 'c' })
  await expect(publisher.publish({ text: 'd' })).rejects.toMatchObject({ retryAfterMs: day - 60_000 })
  expect(publisher.rateLimit('publish')).toMatchObject({ limit: 2, remaining: 1 })
  clock.advance(day - 60_000)
  await publisher.publish({ text: 'd' })
})

test.each([
  ['$AAPL', 1],
  ['$AAPL and $TSLA', 2],
  ['$BRK.B $x', 2],
  ['costs $5, not US$AAPL, no $TOOLONGX and no $AAPL2', 0],
])('of the cashtags in %j, which are %i, one is taken at most', async (text, count) => {
  const publisher = new FakeSocialPublisher()
  const published = publisher.publish({ text })
  if (count > 1) await expect(published).rejects.toMatchObject({ reason: 'too-many-cashtags' })
  else await published
})

test('ids are as those of X: from the time, growing, never one twice, whatever the clock shows', async () => {
  const start = fc.date({ min: new Date('1990-01-01'), max: new Date('2079-01-01'), noInvalidDate: true })
  await fc.assert(
    fc.asyncProperty(
      start,
      fc.array(fc.constantFrom(0, 1, 1_000), { maxLength: 20 }),
      async (date, steps) => {
        const clock = new VirtualClock(date)
        const publisher = new FakeSocialPublisher({ clock })
        let last = 0n
        for (const [index, step] of steps.entries()) {
          clock.advance(step)
          const { id } = await publisher.publish({ text: `post ${index}` })
          expect(id).toMatch(/^[0-9]{1,19}$/)
          expect(BigInt(id)).toBeGreaterThan(last)
          last = BigInt(id)
        }
      },
    ),
  )
  const publisher = new FakeSocialPublisher({ clock: new VirtualClock(new Date('2026-01-01T00:00:00Z')) })
  const { id } = await publisher.publish({ text: 'a' })
  expect(new Date(Number(BigInt(id) >> 22n) + 1_288_834_974_657)).toEqual(new Date('2026-01-01T00:00:00Z'))
})

test('posts can be seeded and seen, as copies, and reset forgets all', async () => {
  const clock = new VirtualClock()
  const publisher = new FakeSocialPublisher({ clock }, { publishLimit: 1 })
  const [post] = publisher.seed({ text: 'There before' })
  expect(publisher.posts).toEqual([{ ...post, inReplyTo: undefined, at: new Date(clock.now()) }])
  publisher.posts[0]?.at.setTime(0)
  expect(publisher.posts[0]?.at).toEqual(new Date(clock.now()))
  expect(publisher.journal.entries).toEqual([])
  await expect(publisher.publish({ text: 'There before' })).rejects.toMatchObject({ reason: 'duplicate' })
  expect(() => publisher.seed({ text: '' })).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  publisher.reset()
  expect([publisher.posts, publisher.journal.entries, publisher.rateLimit('publish').remaining]).toEqual([
    [],
    [],
    1,
  ])
  await publisher.publish({ text: 'There before' })
})

test('the journal tells what was published and deleted', async () => {
  const publisher = new FakeSocialPublisher()
  const { id } = await publisher.publish({ text: 'a' })
  await publisher.delete(id)
  await publisher.delete(id)
  expect(publisher.journal.entries.map(({ effects }) => effects)).toEqual([
    [`published ${id}`],
    [`deleted ${id}`],
    [],
  ])
})

test.each([
  [{ duplicateWindowMs: -1 }],
  [{ publishLimit: 0 }],
  [{ publishLimitPerDay: 0 }],
  [{ deleteLimit: 1.5 }],
  [{ limitWindowMs: Number.NaN }],
  [{ publishLimits: 3 } as never],
])('the options %j are refused', (options) => {
  expect(() => new FakeSocialPublisher({}, options)).toThrow(
    expect.objectContaining({ code: 'invalid-argument' }),
  )
})

test('attach makes it with its clock', () => {
  const clock = new VirtualClock()
  expect(fake.create({ clock }).clock).toBe(clock)
  expect(fake.port.name).toBe('social-publisher')
})
