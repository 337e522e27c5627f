/** Values of a column: any of them by its number, for a column that must be unique, or one at random. */
import type { Faker } from '@faker-js/faker'
import { type Bounds, integerTypes, numberTypes, textTypes, timeTypes } from './bounds.ts'
import { nullsNamed, numberNamed, timeNamed } from './names.ts'
import type { Random } from './random.ts'
import type { Column, Type } from './schema.ts'
import { otherValues, textValues } from './texts.ts'

/** Chance for one value, and English data that draws on it. */
export interface Draw {
  readonly random: Random
  readonly faker: Faker
}

export interface Values {
  /** How many different ones {@link at} has. */
  readonly size: number
  /** A different text for each index, as PostgreSQL reads it. */
  at(index: number, draw: Draw): string
  sample(draw: Draw, near?: Near): string
  /** Where they are numbers or times: their order. */
  readonly scale?: Scale
}

/** What other columns of the row leave to this one. */
export interface Near {
  readonly least: number
  readonly greatest: number
}

export interface Scale {
  /** The number that a text stands for. */
  read(text: string): number
}

export interface Making {
  readonly column: Column
  readonly bounds: Bounds
  readonly types: ReadonlyMap<number, Type>
  readonly referenceDate: number
  /** Where the app says between what numbers or times are. */
  readonly likely?: readonly [least: number, greatest: number]
}

const day = 86_400_000

/** `undefined` for a type of which no value is known here. */
export function valuesOf(making: Making, type: Type = making.column.type): Values | undefined {
  const { column, bounds } = making
  if (type.kind === 'enum')
    return listOf(type.labels.filter((label) => bounds.oneOf?.includes(label) ?? true))
  if (bounds.oneOf !== undefined && (textTypes.has(type.name) || numberTypes.has(type.name)))
    return listOf(bounds.oneOf)
  if (numberTypes.has(type.name)) return numbers(making, type)
  if (timeTypes.has(type.name)) return times(making, type)
  if (textTypes.has(type.name) || type.name === 'name') return textValues(column, bounds)
  if (type.element !== undefined) return arrays(making, type.element)
  if (type.kind === 'range' || type.kind === 'multirange') return ranges(making, type)
  return otherValues(column, type)
}

/** How often a value is NULL where it may be. */
export function nullShare(column: Column): number {
  return column.notNull ? 0 : nullsNamed(column.name)
}

function listOf(choices: readonly string[]): Values | undefined {
  if (choices.length === 0) return undefined
  const different = [...new Set(choices)]
  return {
    size: different.length,
    at: (index) => different[index % different.length] as string,
    sample: ({ random }) => random.pick(choices),
  }
}

/** Numbers and times alike: steps from a least to a greatest. */
function steps(
  [least, greatest]: readonly [number, number],
  [likelyLeast, likelyGreatest]: readonly [number, number],
  step: number,
  write: (count: number) => string,
  read: (text: string) => number,
  hints: readonly string[],
): Values | undefined {
  const up = (value: number): number => Math.ceil(value / step - 1e-9)
  const down = (value: number): number => Math.floor(value / step + 1e-9)
  const [low, high] = [up(least), down(greatest)]
  if (low > high) return undefined
  const span = likelyGreatest - likelyLeast
  const from = Math.min(Math.max(up(likelyLeast), low), high)
  const to = Math.max(
    Math.min(down(likelyGreatest), high),
    Math.min(high, from + (up(likelyLeast) < low ? down(span) : 0)),
  )
  const first = low <= from && high - from >= 100_000 ? from : low
  const hinted = hints.map(read).filter((hint) => hint >= least && hint <= greatest)
  return {
    size: Math.min(high - first + 1, 2 ** 50),
    at: (index) => write(first + index),
    sample({ random }, near) {
      if (hinted.length > 0 && random.chance(0.5)) {
        const hint =
          down(random.pick(hinted)) + random.pick([0, 0, 1, -1, random.below(1000), -random.below(1000)])
        if (hint >= low && hint <= high) return write(hint)
      }
      const a = near === undefined ? from : Math.max(low, up(near.least))
      const b = near === undefined ? to : Math.min(high, down(near.greatest))
      // What the row leaves is used where it overlaps with what is likely, and else as it is, near the end that it has.
      const close: [number, number] =
        near === undefined || Number.isFinite(near.least)
          ? [a, Math.min(b, a + to - from)]
          : [Math.max(a, b - (to - from)), b]
      const [start, end] =
        near === undefined
          ? [from, to]
          : (overlap([a, b], [from, to]) ?? overlap(close, [a, b]) ?? [from, to])
      return write(start + random.below(end - start + 1))
    },
    scale: { read },
  }
}

function overlap(
  [a, b]: readonly [number, number],
  [c, d]: readonly [number, number],
): [number, number] | undefined {
  const [low, high] = [Math.max(a, c), Math.min(b, d)]
  return low > high ? undefined : [low, high]
}

const limits: Readonly<Record<string, number>> = { int2: 32_767, int4: 2_147_483_647 }

function numbers({ column, bounds, likely }: Making, type: Type): Values | undefined {
  const integer = integerTypes.has(type.name)
  const declared = type.name === 'numeric' && column.modifier > 4
  const precision = declared ? ((column.modifier - 4) >> 16) & 0xffff : undefined
  // 11 bits, signed. https://www.postgresql.org/docs/17/datatype-numeric.html
  const scale = integer
    ? 0
    : declared
      ? (((column.modifier - 4) & 0x7ff) ^ 1024) - 1024
      : type.name === 'numeric'
        ? 2
        : 4
  const step = 10 ** -scale
  const largest =
    precision === undefined
      ? (limits[type.name] ?? 2 ** 50 * Math.min(1, step))
      : Math.min(10 ** (precision - scale) - step, 2 ** 50 * step)
  const [likelyLeast, likelyGreatest] = likely ?? numberNamed(column.name)
  const least = Math.max(bounds.least + (bounds.leastExcluded ? step : 0), -largest)
  const greatest = Math.min(bounds.greatest - (bounds.greatestExcluded ? step : 0), largest)
  const write = (count: number): string => {
    if (scale > 0) return (count / 10 ** scale).toFixed(scale)
    return (BigInt(count) * 10n ** BigInt(-scale)).toString()
  }
  return steps([least, greatest], [likelyLeast, likelyGreatest], step, write, Number, bounds.hints)
}

function times({ column, bounds, referenceDate, likely }: Making, type: Type): Values | undefined {
  const isTime = type.name === 'time'
  const step = type.name === 'date' ? day : 1000
  const write = (count: number): string => {
    const text = new Date(count * step).toISOString()
    if (isTime) return text.slice(11, 19)
    if (type.name === 'date') return text.slice(0, 10)
    return `${text.slice(0, 10)} ${text.slice(11, 19)}${type.name === 'timestamptz' ? '+00' : ''}`
  }
  const read = (text: string): number => {
    if (isTime) return Date.parse(`1970-01-01T${text}Z`)
    const [date, time] = text.split(' ')
    return Date.parse(
      time === undefined ? `${date}T00:00:00Z` : `${date}T${time.replace(/\+00(:00)?$/, '')}Z`,
    )
  }
  const [from, to] = timeNamed(column.name)
  const [first, last] = isTime ? [0, day - 1000] : [Date.UTC(1900, 0), Date.UTC(9999, 0)]
  const usual: readonly [number, number] = isTime
    ? [8 * 3_600_000, 20 * 3_600_000]
    : [referenceDate + from, referenceDate + to]
  const least = Math.max(bounds.least + (bounds.leastExcluded ? step : 0), first)
  const greatest = Math.min(bounds.greatest - (bounds.greatestExcluded ? step : 0), last)
  return steps([least, greatest], likely ?? usual, step, write, read, bounds.hints)
}

function arrays(making: Making, element: number): Values | undefined {
  const type = making.types.get(element)
  const values = type === undefined ? undefined : valuesOf(making, type)
  if (values === undefined) return undefined
  const write = (items: readonly string[]): string =>
    `{${items.map((item) => `"${item.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
  return {
    size: values.size,
    at: (index, draw) => write([values.at(index, draw)]),
    sample: (draw) => write(Array.from({ length: draw.random.below(4) }, () => values.sample(draw))),
  }
}

/**
 * Ranges of which no two overlap, where they are asked for by number: so they also meet an exclusion constraint. The
 * bounds of a check on a range are none of its ends.
 */
function ranges({ column, bounds, types, referenceDate }: Making, type: Type): Values | undefined {
  const subtype = types.get(type.subtype ?? 0)
  const write = (ends: string): string => (type.kind === 'multirange' ? `{${ends}}` : ends)
  const free: Making = {
    bounds: { ...bounds, least: Number.NEGATIVE_INFINITY, greatest: Number.POSITIVE_INFINITY, hints: [] },
    column: { ...column, modifier: -1 },
    types,
    referenceDate,
  }
  const values =
    subtype === undefined || (!numberTypes.has(subtype.name) && !timeTypes.has(subtype.name))
      ? undefined
      : valuesOf(free, subtype)
  const read = values?.scale?.read
  if (values === undefined || read === undefined) return undefined
  return {
    size: Math.floor(values.size / 2) - 1,
    at: (index, draw) => write(`["${values.at(2 * index, draw)}","${values.at(2 * index + 1, draw)}")`),
    sample(draw) {
      const [a, b] = [values.sample(draw), values.sample(draw)]
      return write(read(a) <= read(b) ? `["${a}","${b}"]` : `["${b}","${a}"]`)
    },
  }
}
