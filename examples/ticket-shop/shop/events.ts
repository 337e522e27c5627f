/** Events and their seats. */
import { randomUUID } from 'node:crypto'
import { type SqlDatabase, sql } from 'portside'
import { ShopError } from './errors.ts'

export interface NewEvent {
  readonly name: string
  readonly startsAt: Date
  readonly priceCents: number
  /** ISO 4217: `EUR`. */
  readonly currency: string
  /** 1 to 26: rows A to Z, the best in front. */
  readonly rows: number
  readonly seatsPerRow: number
}

export interface Event {
  readonly id: string
  readonly name: string
  readonly startsAt: Date
  readonly priceCents: number
  readonly currency: string
  readonly seatsTotal: number
  readonly seatsLeft: number
}

const columns = sql`
  id, name, starts_at as "startsAt", price_cents as "priceCents", currency,
  seats_total as "seatsTotal", seats_left as "seatsLeft"`

export class Events {
  readonly #database: SqlDatabase

  constructor(database: SqlDatabase) {
    this.#database = database
  }

  /** Creates the event with all its seats, or nothing. */
  async create({ name, startsAt, priceCents, currency, rows, seatsPerRow }: NewEvent): Promise<Event> {
    const id = randomUUID()
    const labels = seatLabels(rows, seatsPerRow)
    return this.#database.transaction(async (transaction) => {
      const event = await transaction.one<Event>(sql`
        insert into events (id, name, starts_at, price_cents, currency, seats_total, seats_left)
        values (${id}, ${name}, ${startsAt}, ${priceCents}, ${currency}, ${labels.length}, ${labels.length})
        returning ${columns}`)
      await transaction.copyIn(
        { table: 'seats', columns: ['event_id', 'label', 'rank'] },
        labels.map((label, index) => [id, label, index + 1]),
      )
      return event
    })
  }

  /** What is on, soonest first. */
  async list(): Promise<readonly Event[]> {
    return this.#database.query<Event>(
      sql`select ${columns} from events where starts_at > now() order by starts_at, id limit 100`,
    )
  }

  /** The event with the labels of its free seats, the best first. */
  async find(id: string): Promise<Event & { readonly freeSeats: readonly string[] }> {
    const event = await this.#database.maybeOne<Event>(sql`select ${columns} from events where id = ${id}`)
    if (event === undefined) throw new ShopError('not-found', 'there is no such event')
    const seats = await this.#database.query<{ label: string }>(
      sql`select label from seats where event_id = ${id} and order_id is null order by rank`,
    )
    return { ...event, freeSeats: seats.map(({ label }) => label) }
  }
}

/** `A-1`, `A-2` … `B-1` …: the best first. */
function seatLabels(rows: number, seatsPerRow: number): readonly string[] {
  return Array.from({ length: rows * seatsPerRow }, (_, index) => {
    const row = String.fromCharCode(65 + Math.floor(index / seatsPerRow))
    return `${row}-${(index % seatsPerRow) + 1}`
  })
}
