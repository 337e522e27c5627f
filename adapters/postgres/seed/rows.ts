/** Makes the rows of a plan. Any value of any row is made alone, so a foreign key needs no memory of what it names. */
import type { Faker } from '@faker-js/faker'
import { digitOf, spareOf } from './keys.ts'
import { decidedBy, type Fill, isWithin, type Plan, type Reference, type TablePlan, textOf } from './plan.ts'
import { hashText, Random } from './random.ts'
import type { Draw, Near } from './values.ts'

type Text = string | null

/** By column, how often its value in a row was refused before. */
export type Refusals = ReadonlyMap<number, number>
const none: Refusals = new Map()

/** How often another row of a referred table is tried where two foreign keys must agree. */
const agreements = 200

/** Which rows two foreign keys leave to each other: none. */
export class NoAgreement extends Error {
  readonly plan: TablePlan
  readonly reference: Reference

  constructor(plan: TablePlan, reference: Reference) {
    super(
      `${plan.table.name}: no row was found on which ${reference.key.name} agrees with its other foreign keys`,
    )
    this.plan = plan
    this.reference = reference
  }
}

export interface RowsOptions {
  readonly seed: number
  readonly referenceDate: number
  readonly makeFaker: (random: Random) => Faker
  /** The columns that are referred to of the tables that are kept, a row each. */
  readonly kept: ReadonlyMap<TablePlan, readonly ReadonlyMap<number, Text>[]>
}

export class Rows {
  readonly #plan: Plan
  readonly #options: RowsOptions
  readonly #draw: Draw
  readonly #names = new Map<TablePlan, number>()
  readonly #fills = new Map<TablePlan, ReadonlyMap<number, { fill: Fill; name: number }>>()
  readonly #referring = new Map<TablePlan, ReadonlySet<number>>()
  readonly #refusals = new Map<TablePlan, Map<number, Refusals>>()
  /** Rows of a table by the texts of some of its columns, for foreign keys that share a column. */
  readonly #indexes = new Map<string, Map<string, number[]>>()

  constructor(plan: Plan, options: RowsOptions) {
    this.#plan = plan
    this.#options = options
    const random = new Random(0)
    this.#draw = { random, faker: options.makeFaker(random) }
    for (const table of plan.tables) {
      this.#names.set(table, hashText(table.table.name))
      this.#fills.set(
        table,
        new Map(table.fills.map((fill) => [fill.column.number, { fill, name: hashText(fill.column.name) }])),
      )
      this.#referring.set(table, new Set(table.references.flatMap(({ key }) => decidedBy(key, table.table))))
    }
  }

  row(table: TablePlan, row: number, refusals: Refusals = none): Text[] {
    const texts = new Map<number, Text>(this.#references(table, row, refusals))
    for (const { column } of table.fills) {
      if (texts.has(column.number)) continue
      texts.set(column.number, this.#own(table, column.number, row, refusals, texts))
    }
    return table.fills.map(({ column }) => texts.get(column.number) ?? null)
  }

  /** Notes how often a row was refused that is now laid out for good, for those that refer to it. */
  settled(table: TablePlan, row: number, refusals: Refusals): void {
    const all = this.#refusals.get(table) ?? new Map<number, Refusals>()
    this.#refusals.set(table, all)
    all.set(row, refusals)
    this.#indexes.clear()
  }

  /** What a column holds in a row that is referred to. */
  #value(table: TablePlan, column: number, row: number): Text {
    if (table.kept) return this.#options.kept.get(table)?.[row]?.get(column) ?? null
    const refusals = this.#refusals.get(table)?.get(row) ?? none
    if (this.#referring.get(table)?.has(column)) {
      // What refers to rows of its own kind comes last and always finds one, so that the others need not wait for it.
      const outer = table.references.filter(({ key }) => !isWithin(key, table.table))
      const decided = outer.some(({ key }) => key.columns.includes(column))
      return this.#references(table, row, refusals, decided ? outer : table.references).get(column) ?? null
    }
    return this.#own(table, column, row, refusals, new Map())
  }

  #own(
    table: TablePlan,
    column: number,
    row: number,
    refusals: Refusals,
    texts: ReadonlyMap<number, Text>,
  ): Text {
    const found = this.#fills.get(table)?.get(column)
    if (found === undefined) return null
    const { fill, name } = found
    const { sequence, values, digit, own, nulls } = fill
    if (sequence !== undefined) return String(sequence.start + BigInt(row) * sequence.increment)
    const again = refusals.get(column) ?? 0
    const { random, faker } = this.#draw
    const restart = (): void => void random.restart(this.#options.seed, this.#name(table), name, row, again)
    restart()
    if (own !== undefined) {
      const { referenceDate } = this.#options
      const value = own({ faker, row, rows: table.rows, referenceDate: new Date(referenceDate) })
      if (value !== undefined) return textOf(value, fill.column)
      restart()
    }
    if (values === undefined) return null
    if (digit !== undefined) {
      const index =
        again === 0
          ? digitOf(digit, row, (lower) => this.#shift(table, name, lower))
          : spareOf(digit, row, table.rows, again)
      restart()
      return values.at(index, this.#draw)
    }
    // What was refused may want NULL, or want none.
    if (nulls > 0 && random.chance(again === 0 ? nulls : 0.5)) return null
    return values.sample(this.#draw, this.#near(table, fill, texts))
  }

  /** What other columns of the row leave to this one. */
  #near(table: TablePlan, { bounds }: Fill, texts: ReadonlyMap<number, Text>): Near | undefined {
    if (bounds.notBelow.length === 0 && bounds.notAbove.length === 0) return undefined
    const read = (number: number): number => {
      const text = texts.get(number)
      const scale = this.#fills.get(table)?.get(number)?.fill.values?.scale
      return text === undefined || text === null || scale === undefined ? Number.NaN : scale.read(text)
    }
    const ends = (numbers: readonly number[]): number[] =>
      numbers.map(read).filter((value) => !Number.isNaN(value))
    const least = Math.max(...ends(bounds.notBelow))
    const greatest = Math.min(...ends(bounds.notAbove))
    return Number.isFinite(least) || Number.isFinite(greatest) ? { least, greatest } : undefined
  }

  /** The columns that refer to other tables, decided together. */
  #references(
    table: TablePlan,
    row: number,
    refusals: Refusals,
    references: readonly Reference[] = table.references,
  ): Map<number, Text> {
    if (references.length === 0) return new Map()
    for (let tried = 0; ; tried += 1) {
      const texts = new Map<number, Text>()
      const failed = references.find(
        (reference, place) => !this.#refer(table, reference, place, row, refusals, tried, texts),
      )
      if (failed === undefined) return texts
      if (tried === agreements) throw new NoAgreement(table, failed)
    }
  }

  #refer(
    table: TablePlan,
    reference: Reference,
    place: number,
    row: number,
    refusals: Refusals,
    tried: number,
    texts: Map<number, Text>,
  ): boolean {
    const { key, nullable, digit, shared } = reference
    const target = this.#plan.tables[reference.target] as TablePlan
    const again = Math.max(...key.columns.map((number) => refusals.get(number) ?? 0))
    const { random } = this.#draw
    const restart = (use: number): void =>
      void random.restart(this.#options.seed, this.#name(table), place, row, again, tried, use)
    for (const number of shared) {
      // Decided by none: its own, as in the row that is referred to.
      if (!texts.has(number)) texts.set(number, this.#own(table, number, row, refusals, texts))
    }
    restart(0)
    const free = key.columns.filter((number) => !shared.includes(number))
    const nothing = (): boolean => {
      for (const number of free) texts.set(number, null)
      return true
    }
    // One column that is NULL is enough for a foreign key to ask for nothing.
    if (shared.some((number) => texts.get(number) === null)) {
      if (nullable) return nothing()
      if (free.length === 0) return true
    }
    if (target.rows === 0) return nothing()
    if (nullable && digit === undefined && random.chance(0.1)) return nothing()
    let chosen: number
    if (digit !== undefined && shared.length === 0) {
      chosen = digitOf(digit, row, (lower) => this.#shift(table, place, lower))
    } else if (shared.length > 0) {
      const candidates = this.#sharing(target, reference, texts)
      if (candidates.length === 0) return nullable ? nothing() : false
      // Looking them up has drawn on chance, the first time.
      restart(1)
      if (digit !== undefined) chosen = candidates[row % candidates.length] as number
      else if (isWithin(key, table.table)) {
        const earlier = countBelow(candidates, row)
        if (earlier === 0 && nullable) return nothing()
        // The first of its kind refers to itself.
        chosen = candidates[random.below(Math.max(1, earlier))] as number
      } else chosen = random.pick(candidates)
    } else if (target === table) {
      // Towards the first, so that there are trees and no circles.
      if (row === 0 && nullable) return nothing()
      chosen = random.below(nullable ? row : row + 1)
    } else {
      // Some are referred to more than others.
      chosen = Math.floor(target.rows * random.next() ** 1.5)
    }
    for (const number of free) {
      texts.set(number, this.#value(target, key.referenced[key.columns.indexOf(number)] as number, chosen))
    }
    return true
  }

  /** The rows of `target` that hold what is decided already. */
  #sharing(
    target: TablePlan,
    { key, shared }: Reference,
    texts: ReadonlyMap<number, Text>,
  ): readonly number[] {
    const columns = shared.map((number) => key.referenced[key.columns.indexOf(number)] as number)
    const name = JSON.stringify([target.table.oid, columns])
    let index = this.#indexes.get(name)
    if (index === undefined) {
      index = new Map()
      this.#indexes.set(name, index)
      for (let row = 0; row < target.rows; row += 1) {
        const held = JSON.stringify(columns.map((column) => this.#value(target, column, row)))
        const rows = index.get(held)
        if (rows === undefined) index.set(held, [row])
        else rows.push(row)
      }
    }
    return index.get(JSON.stringify(shared.map((number) => texts.get(number) ?? null))) ?? []
  }

  #shift(table: TablePlan, name: number, lower: number): number {
    return this.#draw.random.restart(this.#options.seed, this.#name(table), name, lower, 1).bits()
  }

  #name(table: TablePlan): number {
    return this.#names.get(table) as number
  }
}

/** How many of `rows`, which are in order, come before `row`. */
function countBelow(rows: readonly number[], row: number): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rows[middle] as number) < row) low = middle + 1
    else high = middle
  }
  return low
}
