/**
 * Makes keys unique without remembering a row. The number of a row is counted out over the columns of a key as over
 * the wheels of an odometer: each column shows one wheel, and together they never show the same twice.
 */
import type { Check, Column, Key, Sequence, Table } from './schema.ts'
import type { Values } from './values.ts'

/** Which number of its values a column, or of its rows a foreign key, shows in a row. */
export interface Digit {
  /** How many rows go by before it turns. */
  readonly stride: number
  readonly size: number
  /** Turned on by what the wheels below it show, so that a pair of foreign keys is not all of one. */
  readonly shifted: boolean
}

/** @param shift a number for what the wheels below show */
export function digitOf(
  { stride, size, shifted }: Digit,
  row: number,
  shift: (lower: number) => number,
): number {
  return (Math.floor(row / stride) + (shifted ? shift(row % stride) : 0)) % size
}

/** Whether a digit alone tells rows apart, with numbers to spare for another try. */
export function hasSpare({ stride, size }: Digit, rows: number): boolean {
  return stride === 1 && size >= rows + apart(rows)
}

/** The number of a row's value after so many refusals: one that no row has in any try. */
export function spareOf({ size }: Digit, row: number, rows: number, attempt: number): number {
  const tries = Math.floor((size - rows) / apart(rows)) + 1
  return row + (attempt % tries) * apart(rows)
}

const primes = new Map<number, number>()

/** A prime, so that a check for what a remainder is does not refuse each try of a row alike. */
function apart(rows: number): number {
  const known = primes.get(rows)
  if (known !== undefined) return known
  let found = Math.max(rows, 101)
  while (!isPrime(found)) found += 1
  primes.set(rows, found)
  return found
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor += 1) if (number % divisor === 0) return false
  return true
}

export interface KeyPlan {
  readonly columns: ReadonlyMap<number, Digit>
  /** By the place of the foreign key. */
  readonly references: ReadonlyMap<number, Digit>
  /** For how many rows there are keys. */
  readonly room: number
  /** Which key leaves no more. */
  readonly tightest: string
  /** Keys of a part of the rows that have room for fewer: from that row on, none may be of that part. */
  readonly conditions: readonly { readonly predicate: Check; readonly room: number }[]
}

interface Filled {
  readonly column: Column
  readonly values: Values | undefined
  readonly sequence: Sequence | undefined
  readonly own: unknown
}

interface Referring {
  readonly key: { readonly columns: readonly number[] }
  readonly size: number
  readonly shared: readonly number[]
}

/** What turns as one: a column, or all that a foreign key decides. */
interface Wheel {
  readonly size: number
  readonly reference: number | undefined
  readonly column: Column
  digit: Digit | undefined
}

const endless = 2 ** 50

export function planKeys(
  table: Table,
  rows: number,
  fills: readonly Filled[],
  references: readonly Referring[],
): KeyPlan {
  let room = rows
  let tightest = ''
  const wheels = new Map<number, Wheel>()
  // Columns of which each row's value differs by itself, or by what the app says.
  const trusted = new Set<number>()
  for (const column of table.columns) {
    const reference = references.findIndex(
      ({ key, shared }) => key.columns.includes(column.number) && !shared.includes(column.number),
    )
    const first = references[reference]?.key.columns.find((number) => wheels.has(number))
    const fill = fills.find((each) => each.column === column)
    if (reference >= 0) {
      const size = references[reference]?.size ?? 0
      const wheel = first === undefined ? undefined : wheels.get(first)
      wheels.set(
        column.number,
        wheel?.reference === reference ? wheel : { size, reference, column, digit: undefined },
      )
    } else if (fill?.sequence !== undefined) {
      trusted.add(column.number)
      if (fill.sequence.size >= room) continue
      room = fill.sequence.size
      tightest = fill.sequence.name
    } else if (fill === undefined) {
      // Its default or the database itself fills it, which is as much as can be known.
      if (column.generated === undefined && column.hasDefault) trusted.add(column.number)
    } else if (typeof fill.own === 'function') trusted.add(column.number)
    else if (fill.values !== undefined)
      wheels.set(column.number, { size: fill.values.size, reference: undefined, column, digit: undefined })
  }
  const conditions: { predicate: Check; room: number }[] = []
  const ordered = table.keys.toSorted(
    (a, b) =>
      Number(a.predicate !== undefined) - Number(b.predicate !== undefined) ||
      a.columns.length - b.columns.length,
  )
  for (const key of ordered) {
    if (key.columns.some((number) => trusted.has(number))) continue
    // What decides whether a row is of the key's part stays free to say that it is not.
    const counting = key.columns.filter((number) => !key.predicate?.columns.includes(number))
    const own = [...new Set(counting.flatMap((number) => wheels.get(number) ?? []))]
    // A key of generated columns alone is left to the database.
    if (own.length === 0 && key.predicate === undefined) continue
    const covered = count(own, rows, key)
    if (covered >= rows) continue
    if (key.predicate !== undefined) conditions.push({ predicate: key.predicate, room: covered })
    else if (covered < room) {
      room = covered
      tightest = key.name
    }
  }
  const columns = new Map<number, Digit>()
  const byReference = new Map<number, Digit>()
  for (const [number, { digit, reference }] of wheels) {
    if (digit === undefined) continue
    if (reference === undefined) columns.set(number, digit)
    else byReference.set(reference, digit)
  }
  return { columns, references: byReference, room, tightest, conditions }
}

/** Gives the wheels of a key their places; answers for how many rows they do not repeat. */
function count(wheels: readonly Wheel[], rows: number, key: Key): number {
  let covered = 1
  let lowerReference = false
  const turn = (wheel: Wheel, size: number): void => {
    wheel.digit = { stride: covered, size, shifted: lowerReference && wheel.reference !== undefined }
    covered = Math.min(endless, covered * size)
    lowerReference ||= wheel.reference !== undefined
  }
  const placed = wheels
    .filter(({ digit }) => digit !== undefined)
    .toSorted((a, b) => (a.digit?.stride ?? 0) - (b.digit?.stride ?? 0))
  const free = (): Wheel[] => wheels.filter(({ digit }) => digit === undefined)
  for (const { digit, reference } of placed) {
    if (digit === undefined || digit.stride < covered) continue
    if (digit.stride > covered) {
      // Another key left a gap below this wheel.
      const gap = digit.stride / covered
      const filling = Number.isInteger(gap) ? free().find(({ size }) => size >= gap) : undefined
      if (filling === undefined) break
      turn(filling, gap)
    }
    covered = Math.min(endless, digit.stride * digit.size)
    lowerReference ||= reference !== undefined
  }
  if (covered >= rows) return covered
  const needed = Math.ceil(rows / covered)
  const references = free().filter(({ reference }) => reference !== undefined)
  const plain = free().filter(({ reference }) => reference === undefined)
  const small = plain.find(({ column }) => /^int[248]$/.test(column.type.name))
  if (references.length > 0 && small !== undefined && !key.exclusion) {
    // Lines of an order: a few each, counted from the first.
    const combinations = references.reduce((product, { size }) => Math.min(endless, product * size), 1)
    turn(small, Math.min(small.size, Math.max(Math.ceil(needed / Math.max(1, combinations)), 4)))
    for (const wheel of references) if (covered < rows) turn(wheel, wheel.size)
    if (covered >= rows) return covered
  }
  const carrier = free()
    .filter(({ reference, size }) => reference === undefined && size >= Math.ceil(rows / covered))
    .toSorted((a, b) => suitability(b.column, key) - suitability(a.column, key))[0]
  if (carrier !== undefined) {
    turn(carrier, carrier.size)
    return covered
  }
  // Ranges that do not overlap do so whatever stands beside them; all else must count together.
  for (const wheel of free().toSorted(
    (a, b) => Number(b.reference !== undefined) - Number(a.reference !== undefined),
  )) {
    if (covered < rows) turn(wheel, wheel.size)
  }
  return covered
}

/** How little it matters to a column that it counts. */
function suitability({ name, type }: Column, key: Key): number {
  if (key.exclusion) return type.kind === 'range' || type.kind === 'multirange' ? 10 : 0
  if (type.name === 'uuid') return 6
  if (/key|code|token|slug|hash|number|ref|(^|_)(no|id)$/i.test(name)) return 5
  if (/mail|user|label/i.test(name)) return 4
  return type.name === 'text' || type.name === 'varchar' ? 3 : 1
}
