/**
 * The outbox: what is still to be done outside the database. Written in the same transaction as the order, so
 * neither can exist without the other; worked off afterwards, however long the outside is away.
 */
import { type SqlDatabase, type SqlTransaction, sql } from 'portside'

export type Kind = 'receipt' | 'mail' | 'print' | 'post'

export interface Entry {
  readonly id: bigint
  readonly kind: Kind
  /** The order; for a post, the event. */
  readonly subjectId: string
  /** Counts this attempt too. */
  readonly attempts: number
}

/** What becomes of an entry after an attempt. */
export type Decision =
  | { readonly state: 'done' }
  | { readonly state: 'waiting'; readonly delayMs: number; readonly error: string }
  /** Neither solves itself; `uncertain` may have been carried out. */
  | { readonly state: 'failed' | 'uncertain'; readonly error: string }

export type State = Decision['state'] | 'running'

/** Notes what is to be done, as a part of `transaction`. */
export async function addToOutbox(
  transaction: SqlTransaction,
  kinds: readonly Kind[],
  subjectId: string,
): Promise<void> {
  await transaction.execute(sql`
    insert into outbox (kind, subject_id) select kind, ${subjectId}::uuid from unnest(${kinds}::text[]) as kind`)
}

export class Outbox {
  readonly #database: SqlDatabase

  constructor(database: SqlDatabase) {
    this.#database = database
  }

  /**
   * Takes the next entry that is due, for `leaseMs`. Workers that ask at once get different ones: a row that
   * another has locked is skipped. An entry whose worker died is taken again if its kind is in `repeatable`;
   * else it becomes `uncertain`, because no one knows how far that worker came.
   */
  async claim(leaseMs: number, repeatable: readonly Kind[]): Promise<Entry | undefined> {
    await this.#database.execute(sql`
      update outbox set state = 'uncertain', last_error = 'its worker did not come back'
      where state = 'running' and due_at < now() and kind <> all(${repeatable}::text[])`)
    return this.#database.maybeOne<Entry>(sql`
      update outbox
      set state = 'running', attempts = attempts + 1, due_at = now() + ${interval(leaseMs)}
      where id = (
        select id from outbox
        where due_at <= now()
          and (state = 'waiting' or (state = 'running' and kind = any(${repeatable}::text[])))
        order by due_at, id limit 1 for update skip locked)
      returning id, kind, subject_id as "subjectId", attempts`)
  }

  /** Notes how an attempt ended; does nothing where a later attempt has begun. */
  async settle({ id, attempts }: Entry, decision: Decision): Promise<void> {
    const delayMs = decision.state === 'waiting' ? decision.delayMs : 0
    const error = decision.state === 'done' ? undefined : decision.error.slice(0, 500)
    await this.#database.execute(sql`
      update outbox set state = ${decision.state}, due_at = now() + ${interval(delayMs)}, last_error = ${error}
      where id = ${id} and attempts = ${attempts} and state in ('running', 'uncertain')`)
  }

  /** How many entries there are in each state that has any. */
  async counts(): Promise<Readonly<Partial<Record<State, number>>>> {
    const rows = await this.#database.query<{ state: State; count: number }>(
      sql`select state, count(*)::integer as count from outbox group by state`,
    )
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]))
  }

  /** How far what follows from an order has come. */
  async statesOf(subjectId: string): Promise<Readonly<Partial<Record<Kind, State>>>> {
    const rows = await this.#database.query<{ kind: Kind; state: State }>(
      sql`select kind, state from outbox where subject_id = ${subjectId}`,
    )
    return Object.fromEntries(rows.map(({ kind, state }) => [kind, state]))
  }

  /** What waits for a person, oldest first. */
  async stuck(): Promise<readonly (Entry & { readonly state: State; readonly lastError: string })[]> {
    return this.#database.query(sql`
      select id, kind, subject_id as "subjectId", attempts, state, last_error as "lastError"
      from outbox where state in ('failed', 'uncertain') order by id limit 100`)
  }

  /** A person's word on what was stuck. Resolves with whether it was. */
  async resolve(id: bigint, as: 'done' | 'repeat'): Promise<boolean> {
    const state = as === 'done' ? 'done' : 'waiting'
    const changed = await this.#database.execute(sql`
      update outbox set state = ${state}, due_at = now() where id = ${id} and state in ('failed', 'uncertain')`)
    return changed === 1
  }
}

function interval(ms: number) {
  return sql`make_interval(secs => ${ms / 1_000}::double precision)`
}
