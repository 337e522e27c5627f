/**
 * Random changes of a table in transactions and savepoints that end well or badly, what each answered in a form that can
 * be compared, and the shortest thing that answers them as they should be.
 */
import * as fc from 'fast-check'
import { PortError } from '../src/errors.ts'
import { sql } from '../src/ports/sql.ts'
import type { SqlDatabase, SqlQueries, SqlTransaction } from '../src/ports/sql-database.ts'

/** A row of the one table: a tree with unique names and amounts that are not negative. */
export interface Item {
  readonly id: number
  readonly name: string
  readonly amount: number
  readonly parent: number | undefined
}

export type SqlCommand =
  | { readonly type: 'insert'; readonly item: Item }
  | { readonly type: 'add'; readonly id: number; readonly by: number }
  | { readonly type: 'rename'; readonly id: number; readonly name: string }
  | { readonly type: 'delete'; readonly id: number }
  | { readonly type: 'copy'; readonly items: readonly Item[]; readonly fails: boolean }
  | { readonly type: 'read'; readonly streamed: boolean }
  | {
      /** A transaction; inside one, a savepoint. */
      readonly type: 'group'
      readonly commands: readonly SqlCommand[]
      readonly ending: 'return' | 'throw'
    }

const id = fc.nat(5)
const name = fc.constantFrom('a', 'b', 'c', 'é', "'); DROP TABLE items; --", '\\')
const item: fc.Arbitrary<Item> = fc.record(
  {
    id,
    name,
    amount: fc.integer({ min: -1, max: 5 }),
    parent: fc.option(id, { nil: undefined, freq: 2 }),
  },
  // As the driver's rows are.
  { noNullPrototype: true },
)
const type = <T extends string>(value: T): fc.Arbitrary<T> => fc.constant(value)

/** Sequences of commands, with groups within groups. */
export const sqlCommands: fc.Arbitrary<readonly SqlCommand[]> = fc.letrec<{
  command: SqlCommand
  commands: readonly SqlCommand[]
}>((tie) => ({
  command: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: fc.record({ type: type('insert'), item }) },
    fc.record({ type: type('add'), id, by: fc.integer({ min: -4, max: 4 }) }),
    fc.record({ type: type('rename'), id, name }),
    fc.record({ type: type('delete'), id }),
    fc.record({ type: type('copy'), items: fc.array(item, { maxLength: 3 }), fails: fc.boolean() }),
    fc.record({ type: type('read'), streamed: fc.boolean() }),
    {
      weight: 4,
      arbitrary: fc.record({
        type: type('group'),
        commands: tie('commands'),
        ending: fc.constantFrom('return' as const, 'return' as const, 'throw' as const),
      }),
    },
  ),
  commands: fc.array(tie('command'), { minLength: 1, maxLength: 8 }),
})).commands

/** Makes the table anew, empty. */
export async function makeItems(db: SqlDatabase): Promise<void> {
  await db.execute(sql`DROP TABLE IF EXISTS items`)
  await db.execute(sql`CREATE TABLE items (
    id integer PRIMARY KEY,
    name text NOT NULL UNIQUE,
    amount integer NOT NULL CHECK (amount >= 0),
    parent integer REFERENCES items
  )`)
}

/** Empties the table. */
export async function clearItems(db: SqlDatabase): Promise<void> {
  await db.execute(sql`DELETE FROM items`)
}

class OwnFailure extends Error {}

/** Runs one command. A failure is its code; that of a savepoint is caught outside it, and the transaction goes on. */
export async function runSqlCommand(db: SqlDatabase, command: SqlCommand): Promise<unknown> {
  try {
    return await (command.type === 'group'
      ? db.transaction((transaction) => runGroup(transaction, command))
      : runStatement(db, command))
  } catch (error) {
    return failureOf(error)
  }
}

async function runGroup(
  transaction: SqlTransaction,
  { commands, ending }: SqlCommand & { type: 'group' },
): Promise<unknown> {
  const answers: unknown[] = []
  for (const command of commands) {
    const answer =
      command.type === 'group'
        ? transaction.savepoint((inner) => runGroup(inner, command)).catch(failureOf)
        : runStatement(transaction, command)
    answers.push(await answer)
  }
  if (ending === 'throw') throw new OwnFailure('of the work itself')
  return answers
}

function failureOf(error: unknown): unknown {
  if (error instanceof OwnFailure) return 'thrown by the work'
  if (!PortError.is(error)) throw error
  return { code: error.code, outcome: error.outcome, constraint: error.details.constraint }
}

async function runStatement(
  on: SqlQueries,
  command: Exclude<SqlCommand, { type: 'group' }>,
): Promise<unknown> {
  switch (command.type) {
    case 'insert': {
      const { item: given } = command
      return on.execute(
        sql`INSERT INTO items (id, name, amount, parent)
          VALUES (${given.id}, ${given.name}, ${given.amount}, ${given.parent})`,
      )
    }
    case 'add':
      return on.execute(sql`UPDATE items SET amount = amount + ${command.by} WHERE id = ${command.id}`)
    case 'rename':
      return on.execute(sql`UPDATE items SET name = ${command.name} WHERE id = ${command.id}`)
    case 'delete':
      return on.execute(sql`DELETE FROM items WHERE id = ${command.id}`)
    case 'copy':
      return on.copyIn({ table: 'items', columns: ['id', 'name', 'amount', 'parent'] }, rowsOf(command))
    case 'read': {
      const all = sql`SELECT id, name, amount, parent FROM items ORDER BY id`
      return command.streamed ? await Array.fromAsync(on.stream(all, { batchRows: 2 })) : await on.query(all)
    }
  }
}

function* rowsOf({
  items,
  fails,
}: SqlCommand & { type: 'copy' }): Generator<readonly (string | number | undefined)[]> {
  for (const each of items) yield [each.id, each.name, each.amount, each.parent]
  if (fails) throw new OwnFailure('of the rows')
}

class Refused extends Error {
  readonly code: string
  readonly constraint: string | undefined

  constructor(code: string, constraint: string) {
    super(code)
    this.code = code
    this.constraint = constraint
  }
}

/** Rows by id. Whatever fails leaves them as they were. */
export class SqlModel {
  #items = new Map<number, Item>()

  run(command: SqlCommand): unknown {
    try {
      return this.#whole(() => this.#run(command))
    } catch (error) {
      return this.#failureOf(error)
    }
  }

  #failureOf(error: unknown): unknown {
    if (error instanceof OwnFailure) return 'thrown by the work'
    if (!(error instanceof Refused)) throw error
    return { code: error.code, outcome: 'not-applied', constraint: error.constraint }
  }

  #whole<Answer>(change: () => Answer): Answer {
    const before = new Map(this.#items)
    try {
      return change()
    } catch (error) {
      this.#items = before
      throw error
    }
  }

  #run(command: SqlCommand): unknown {
    switch (command.type) {
      case 'group':
        return this.#group(command)
      case 'insert':
        this.#insert(command.item)
        this.#checkParents()
        return 1
      case 'copy':
        // So few rows are all read before the database has answered to one of them.
        if (command.fails) throw new OwnFailure()
        // COPY gathers rows: their checks come before any unique key.
        for (const each of command.items) this.#checkAmount(each)
        for (const each of command.items) this.#insert(each)
        this.#checkParents()
        return command.items.length
      case 'add': {
        const { id: at, by } = command
        return this.#change(at, (before) => ({ ...before, amount: before.amount + by }))
      }
      case 'rename':
        return this.#change(command.id, (before) => ({ ...before, name: command.name }))
      case 'delete': {
        const count = this.#items.delete(command.id) ? 1 : 0
        this.#checkParents()
        return count
      }
      case 'read':
        return [...this.#items.values()].sort((a, b) => a.id - b.id)
    }
  }

  #group({ commands, ending }: SqlCommand & { type: 'group' }): unknown {
    const answers = commands.map((command) =>
      command.type === 'group' ? this.run(command) : this.#run(command),
    )
    if (ending === 'throw') throw new OwnFailure()
    return answers
  }

  #insert(given: Item): void {
    this.#checkAmount(given)
    if (this.#items.has(given.id)) throw new Refused('already-exists', 'items_pkey')
    this.#checkName(given)
    this.#items.set(given.id, given)
  }

  #change(at: number, change: (before: Item) => Item): number {
    const before = this.#items.get(at)
    if (before === undefined) return 0
    const after = change(before)
    this.#checkAmount(after)
    this.#checkName(after)
    this.#items.set(at, after)
    return 1
  }

  #checkAmount({ amount }: Item): void {
    if (amount < 0) throw new Refused('invalid-argument', 'items_amount_check')
  }

  #checkName({ id: own, name: wanted }: Item): void {
    const taken = [...this.#items.values()].some((other) => other.id !== own && other.name === wanted)
    if (taken) throw new Refused('already-exists', 'items_name_key')
  }

  /** As PostgreSQL does, at the end of each statement. */
  #checkParents(): void {
    const missing = [...this.#items.values()].some(
      ({ parent }) => parent !== undefined && !this.#items.has(parent),
    )
    if (missing) throw new Refused('precondition-failed', 'items_parent_fkey')
  }
}
