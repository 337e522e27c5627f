/** Values that are written as text: words, and types with a form of their own. */
import type { Bounds } from './bounds.ts'
import { textNamed, truthNamed } from './names.ts'
import type { Random } from './random.ts'
import type { Column, Type } from './schema.ts'
import type { Values } from './values.ts'

const alphabet = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'

export function textValues(column: Column, bounds: Bounds): Values | undefined {
  const { language, hints } = bounds
  const make = textNamed(column.name)
  if (language !== undefined) {
    return {
      size: language.size,
      at: (index) => language.at(index),
      sample({ faker, random }) {
        // A word for what the column is called, where the pattern has it.
        const word = make(faker)
        return language.has?.(word) ? word : language.at(random.below(language.size))
      },
    }
  }
  const { shortest, longest } = bounds
  if (shortest > longest) return undefined
  const cased = (text: string): string =>
    bounds.letterCase === 'lower'
      ? text.toLowerCase()
      : bounds.letterCase === 'upper'
        ? text.toUpperCase()
        : text
  const sized = (text: string, end: string): string => {
    const room = longest - end.length
    const cut = text.length > room ? text.slice(0, Math.max(0, room)).trimEnd() : text
    const whole = cut + end
    return cased(whole.length < shortest ? whole.padEnd(shortest, 'x') : whole)
  }
  // In a text too short for words, letters and digits count alone.
  const width = Math.min(longest, 10)
  const codes = longest < 16 ? (index: number) => codeOf(index, width) : undefined
  const isEmail = /e_?mail/i.test(column.name) && longest >= 40
  return {
    size: codes === undefined ? 2 ** 50 : alphabet.length ** width,
    at(index, { faker }) {
      if (codes !== undefined) return sized(codes(index), '')
      const text = make(faker)
      // Digits alone tell one from another: none of what they follow ends in one.
      if (isEmail) {
        const [name = '', domain = ''] = text.split('@')
        return sized(`${name.slice(0, 20).replace(/\d+$/, '')}${index === 0 ? '' : index}@${domain}`, '')
      }
      const mark = /\s/.test(text) ? ` ${index + 1}` : `-${index + 1}`
      return sized(text.replace(/[\s\d-]+$/, ''), mark)
    },
    sample({ faker, random }) {
      if (hints.length > 0 && random.chance(0.5)) {
        const hint = random.pick(hints)
        if (hint.length >= shortest && hint.length <= longest) return hint
      }
      return sized(make(faker), '')
    },
  }
}

function codeOf(index: number, width: number): string {
  let text = ''
  let rest = index
  for (let place = 0; place < width; place += 1) {
    text = (alphabet[rest % alphabet.length] as string) + text
    rest = Math.floor(rest / alphabet.length)
  }
  return text
}

const many = 2 ** 50

/** Types of which any value will do. */
export function otherValues(column: Column, type: Type): Values | undefined {
  const of = (size: number, at: (index: number) => string, sample: (random: Random) => string): Values => ({
    size,
    at,
    sample: ({ random }) => sample(random),
  })
  const counted = (size: number, at: (index: number) => string): Values =>
    of(size, at, (random) => at(random.below(size)))
  switch (type.name) {
    case 'bool': {
      const truth = truthNamed(column.name)
      return of(
        2,
        (index) => (index % 2 === 0 ? 't' : 'f'),
        (random) => (random.chance(truth) ? 't' : 'f'),
      )
    }
    case 'uuid':
      // Told apart by the row and not by chance alone; told apart from another table's by chance.
      return {
        size: many,
        at: (index, { random }) => uuid(hex(random, 4) + hex(random, 4), index),
        sample: ({ random }) => uuid(hex(random, 4) + hex(random, 4), random.below(many)),
      }
    case 'json':
    case 'jsonb':
      return {
        size: many,
        at: (index) => JSON.stringify({ id: index + 1 }),
        sample: ({ faker, random }) =>
          JSON.stringify({ [faker.word.noun()]: faker.word.adjective(), count: random.below(100) }),
      }
    case 'bytea':
      return counted(many, (index) => `\\x${index.toString(16).padStart(16, '0')}`)
    case 'inet':
      return counted(2 ** 24, (index) => `10.${(index >>> 16) & 255}.${(index >>> 8) & 255}.${index & 255}`)
    case 'cidr':
      return counted(2 ** 16, (index) => `10.${(index >>> 8) & 255}.${index & 255}.0/24`)
    case 'macaddr':
      return counted(2 ** 24, (index) => `02:00:00:${pairs(index.toString(16).padStart(6, '0')).join(':')}`)
    case 'macaddr8':
      return counted(
        2 ** 24,
        (index) => `02:00:00:ff:fe:${pairs(index.toString(16).padStart(6, '0')).join(':')}`,
      )
    case 'interval':
      return of(
        many,
        (index) => `${index + 1} seconds`,
        (random) => `${random.below(72)} hours ${random.below(60)} mins`,
      )
    case 'timetz':
      return counted(86_400, (index) => `${new Date(index * 1000).toISOString().slice(11, 19)}+00`)
    case 'money':
      return counted(10_000_000, (index) => (index / 100).toFixed(2))
    case 'oid':
      return counted(2 ** 31, (index) => String(index + 1))
    case 'bit':
    case 'varbit': {
      const width = column.modifier > 0 ? Math.min(column.modifier, 48) : type.name === 'bit' ? 1 : 48
      return counted(2 ** width, (index) =>
        index
          .toString(2)
          .padStart(width, '0')
          .padEnd(type.name === 'bit' ? Math.max(1, column.modifier) : width, '0'),
      )
    }
    case 'point':
      return counted(2 ** 32, (index) => `(${index % 65_536},${Math.floor(index / 65_536)})`)
    case 'box':
    case 'lseg':
    case 'path':
    case 'polygon': {
      // In rows of small ones that do not touch.
      const ends = (index: number): string => {
        const [x, y] = [2 * (index % 65_536), 2 * Math.floor(index / 65_536)]
        return `(${x},${y}),(${x + 1},${y + 1})`
      }
      return counted(2 ** 32, (index) =>
        type.name === 'box' || type.name === 'lseg' ? ends(index) : `(${ends(index)})`,
      )
    }
    case 'circle':
      return counted(2 ** 32, (index) => `<(${3 * (index % 65_536)},${3 * Math.floor(index / 65_536)}),1>`)
    case 'line':
      return counted(2 ** 31, (index) => `{${index + 1},-1,0}`)
    case 'pg_lsn':
      return counted(2 ** 31, (index) => `0/${index.toString(16).toUpperCase()}`)
    case 'hstore':
      return {
        size: many,
        at: (index) => `id=>${index + 1}`,
        sample: ({ faker }) => `"${faker.word.noun()}"=>"${faker.word.adjective()}"`,
      }
    case 'ltree':
      return {
        size: many,
        at: (index) => `top.n${index + 1}`,
        sample: ({ faker, random }) =>
          ['top', ...faker.lorem.words(1 + random.below(3)).split(' ')].join('.'),
      }
    case 'jsonpath':
      return {
        size: many,
        at: (index) => `$."n${index + 1}"`,
        sample: ({ faker }) => `$."${faker.word.noun()}"`,
      }
    case 'tsquery':
    case 'tsvector':
      return { size: many, at: (index) => `${index + 1}`, sample: ({ faker }) => faker.word.noun() }
    case 'xml':
      return counted(many, (index) => `<id>${index + 1}</id>`)
    default:
      return undefined
  }
}

function hex(random: Random, bytes: number): string {
  return random
    .bits()
    .toString(16)
    .padStart(8, '0')
    .slice(0, bytes * 2)
}

const spread = 0x9e3779b97f4a7c15n
const low60 = (1n << 60n) - 1n

/** Version 4 to all appearances: 60 bits of chance, and 60 that no other index has (times an odd number, within a power of two). */
function uuid(chance: string, index: number): string {
  const own = ((BigInt(index + 1) * spread) & low60).toString(16).padStart(15, '0')
  return `${own.slice(0, 8)}-${own.slice(8, 12)}-4${own.slice(12)}-8${chance.slice(0, 3)}-${chance.slice(3, 15)}`
}

function pairs(text: string): string[] {
  return text.match(/../g) ?? []
}
