/** State as JSON and back: bytes, dates and big integers, which JSON has no words for, go as objects with one `$` key. */

/** `value` in a form that `JSON.stringify` loses nothing of. Fields that are `undefined` are left out. */
export function toPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (value instanceof Date) return { $date: value.toISOString() }
  if (typeof value === 'bigint') return { $integer: String(value) }
  if (Array.isArray(value)) return value.map(toPlain)
  if (value instanceof Map) return toPlain([...value])
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  const plain = Object.fromEntries(fields.map(([name, field]) => [name, toPlain(field)]))
  // So that an object that happens to look like one of these comes back as it was.
  return fields.length === 1 && fields[0]?.[0].startsWith('$') ? { $object: plain } : plain
}

/**
 * What {@link toPlain} was given, with a `Map` as the array of its entries.
 * @throws Error where a `$` key stands for nothing known
 */
export function fromPlain(plain: unknown): unknown {
  if (Array.isArray(plain)) return plain.map(fromPlain)
  if (typeof plain !== 'object' || plain === null) return plain
  const fields = Object.entries(plain)
  const [first] = fields
  if (fields.length === 1 && first?.[0].startsWith('$')) return special(first[0], first[1])
  return fieldsFrom(fields)
}

function fieldsFrom(fields: readonly (readonly [string, unknown])[]): object {
  return Object.fromEntries(fields.map(([name, field]) => [name, fromPlain(field)]))
}

function special(name: string, value: unknown): unknown {
  if (name === '$object' && typeof value === 'object' && value !== null)
    return fieldsFrom(Object.entries(value))
  if (typeof value !== 'string') throw new Error(`"${name}" holds no text`)
  switch (name) {
    case '$bytes':
      return Uint8Array.from(Buffer.from(value, 'base64'))
    case '$date':
      return dateOf(value)
    case '$integer':
      return BigInt(value)
    default:
      throw new Error(`"${name}" stands for nothing known`)
  }
}

function dateOf(text: string): Date {
  const date = new Date(text)
  if (Number.isNaN(date.getTime())) throw new Error('"$date" holds no date')
  return date
}
