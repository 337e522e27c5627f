/**
 * The demo's story: two events are sold to buyers who race for the seats, while the mail server, the social
 * network's answer, PostgreSQL and Redis are taken away in turn.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fakes, RunningServer } from 'portside'
import type { Outbox } from '../outbox/outbox.ts'
import type { services } from '../services.ts'
import { type Acknowledged, Buyer, type Wish } from './buyer.ts'

export interface Stage {
  readonly shop: URL
  readonly adminToken: string
  readonly outbox: Outbox
  readonly fakes: Fakes<typeof services>
  readonly database: RunningServer
  readonly store: RunningServer
  readonly signal: AbortSignal
  /** Called with one line for each thing that happens. */
  readonly tell: (line: string) => void
}

export interface Story {
  readonly eventIds: readonly string[]
  /** Every "yes" that a buyer got, repeated ones too. */
  readonly acknowledged: readonly Acknowledged[]
  readonly buyersWithoutSeat: number
  /** How often a buyer had to send a request again. */
  readonly retries: number
  readonly mailsRefused: number
  /** How each attempt to publish ended. */
  readonly postAttempts: readonly string[]
  readonly lostMailAnswers: number
}

// 60 buyers for 40 seats, one each; then 24 buyers for 48, two each, on a bad day.
const openingBuyers = 60
const matineeBuyers = 24
const drainTimeoutMs = 60_000

export async function runStory(stage: Stage): Promise<Story> {
  const { fakes, tell, signal } = stage
  const opening = await createEvent(stage, { name: 'Opening night', rows: 4, seatsPerRow: 10 })
  const matinee = await createEvent(stage, { name: 'Matinee', rows: 4, seatsPerRow: 12 })

  fakes.mail.faults.always('send', { error: 'unavailable' })
  tell('the mail server is down from here on')
  fakes.social.faults.next('publish', { error: 'timeout', when: 'after' })
  tell('the next answer of the social network will be lost')

  tell(`${openingBuyers} buyers race for the 40 seats of "Opening night"`)
  const first = await everyone(stage, 'opening', openingBuyers)
  const openingAnswers = await Promise.all(first.map((buyer, index) => race(buyer, opening, index)))

  tell(`${matineeBuyers} buyers want two seats each of the 48 of "Matinee"`)
  const second = await everyone(stage, 'matinee', matineeBuyers)
  const matineeAnswers = await sellWhileServersDie(stage, second, matinee)

  const mailsRefused = fakes.mail.journal.of('send').filter(({ result }) => result === 'unavailable').length
  fakes.mail.faults.clear()
  // Forced while the mails that piled up go out: this one arrives, but the shop is not told.
  fakes.mail.faults.next('send', { error: 'timeout', when: 'after' })
  tell('the mail server is back, and loses one answer')

  const answers = [...openingAnswers.flat(), ...matineeAnswers]
  const acknowledged = answers.filter((answer) => answer !== undefined)
  const repeated = await repeatSome([...first, ...second], acknowledged)
  tell(`${repeated.length} buyers send their request once more, with the same key`)

  await drained(stage.outbox, signal)
  tell('the outbox is empty')
  return {
    eventIds: [opening, matinee],
    acknowledged: [...acknowledged, ...repeated],
    buyersWithoutSeat: first.length + second.length - new Set(acknowledged.map(({ buyer }) => buyer)).size,
    retries: [...first, ...second].reduce((sum, { retries }) => sum + retries, 0),
    mailsRefused,
    postAttempts: fakes.social.journal.of('publish').map(({ result }) => result),
    lostMailAnswers: 1,
  }
}

async function everyone({ shop, signal }: Stage, name: string, count: number): Promise<readonly Buyer[]> {
  const buyers = Array.from(
    { length: count },
    (_, index) => new Buyer(shop, `${name}-${index + 1}@buyers.example`, signal),
  )
  await Promise.all(buyers.map((buyer) => buyer.logIn()))
  return buyers
}

/** One seat; every fourth buyer clicks twice, so that the same request arrives twice at once. */
async function race(
  buyer: Buyer,
  eventId: string,
  index: number,
): Promise<readonly (Acknowledged | undefined)[]> {
  const key = crypto.randomUUID()
  const clicks = index % 4 === 0 ? 2 : 1
  return Promise.all(Array.from({ length: clicks }, () => buyer.order({ eventId, bestAvailable: 1 }, key)))
}

/** A few buyers at a time; after some orders PostgreSQL is killed, after some more Redis. */
async function sellWhileServersDie(
  stage: Stage,
  buyers: readonly Buyer[],
  eventId: string,
): Promise<readonly (Acknowledged | undefined)[]> {
  const queue = buyers.entries()
  const answers: (Acknowledged | undefined)[] = []
  const crashes: Promise<void>[] = []
  const begin = (crashing: Promise<void>): void => {
    crashes.push(crashing)
    // Awaited at the end; until then a failure is not one that nobody looks at.
    crashing.catch(() => {})
  }
  const till = async (): Promise<void> => {
    for (const [index, buyer] of queue) {
      // Every third buyer picks seats; another may have taken them, and then the next best will do.
      const row = 'ABCD'[index % 4]
      const pair = Math.floor(index / 4) * 2
      const seats: Wish = { eventId, seats: [`${row}-${pair + 1}`, `${row}-${pair + 2}`] }
      const picked = index % 3 === 0 ? await buyer.order(seats) : undefined
      answers.push(picked ?? (await buyer.order({ eventId, bestAvailable: 2 })))
      if (answers.length === 6) begin(crash('PostgreSQL', stage.database, stage))
      if (answers.length === 14) begin(crash('Redis', stage.store, stage))
    }
  }
  await Promise.all(Array.from({ length: 6 }, till))
  await Promise.all(crashes)
  return answers
}

async function crash(name: string, server: RunningServer, { tell, signal }: Stage): Promise<void> {
  await server.kill()
  tell(`${name} is killed with SIGKILL while orders are coming in`)
  await sleep(1_500, undefined, { signal })
  await server.restart()
  tell(`${name} is back`)
}

async function repeatSome(
  buyers: readonly Buyer[],
  acknowledged: readonly Acknowledged[],
): Promise<readonly Acknowledged[]> {
  const some = acknowledged.filter((_, index) => index % 5 === 0)
  const answers = some.map(async ({ buyer: email, key, wish }) => {
    const buyer = buyers.find((candidate) => candidate.email === email)
    return buyer?.order(wish, key)
  })
  return (await Promise.all(answers)).filter((answer) => answer !== undefined)
}

async function createEvent(
  { shop, adminToken, signal }: Stage,
  event: { readonly name: string; readonly rows: number; readonly seatsPerRow: number },
): Promise<string> {
  const startsAt = new Date(Date.now() + 30 * 24 * 60 * 60_000).toISOString()
  const response = await fetch(new URL('/events', shop), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${adminToken}` },
    body: JSON.stringify({ ...event, startsAt, priceCents: 4_250, currency: 'EUR' }),
    signal,
  })
  if (response.status !== 201) throw new Error(`creating an event was answered with ${response.status}`)
  const { id } = (await response.json()) as { id: string }
  return id
}

/** Waits until nothing is waiting or running; gives up after a while, and then the account shows what was left. */
async function drained(outbox: Outbox, signal: AbortSignal): Promise<void> {
  const giveUpAt = Date.now() + drainTimeoutMs
  while (Date.now() < giveUpAt) {
    const { waiting = 0, running = 0 } = await outbox.counts()
    if (waiting + running === 0) return
    await sleep(100, undefined, { signal })
  }
}
