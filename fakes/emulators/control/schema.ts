/**
 * The part of JSON Schema that the control API needs. One description serves three: what is accepted, what is
 * documented, and what tests hold the answers to.
 */
import { checkFields, checkInteger, checkText, typeName } from '../../../src/calls/arguments.ts'
import { invalidArgument, PortError } from '../../../src/errors.ts'

/** As JSON Schema has it; an object takes no other fields than its `properties`, unless it says what they are. */
export interface Schema {
  readonly description?: string
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly enum?: readonly (string | number)[]
  readonly pattern?: string
  readonly format?: string
  /** The first that fits decides. */
  readonly anyOf?: readonly Schema[]
}

/** An object with these fields and no others; those whose name ends in `?` may be absent. */
export function object(fields: Readonly<Record<string, Schema>>, description?: string): Schema {
  const properties = Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name.replace(/\?$/, ''), schema]),
  )
  const required = Object.keys(fields).filter((name) => !name.endsWith('?'))
  return {
    ...(description !== undefined && { description }),
    type: 'object',
    properties,
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  }
}

export function array(items: Schema, description?: string): Schema {
  return { ...(description !== undefined && { description }), type: 'array', items }
}

export function text(description?: string, more: Omit<Schema, 'type'> = {}): Schema {
  return { ...(description !== undefined && { description }), type: 'string', ...more }
}

export function integer(minimum: number, maximum: number, description?: string): Schema {
  return { ...(description !== undefined && { description }), type: 'integer', minimum, maximum }
}

/** @throws PortError `invalid-argument` that names the place and says what is expected there */
export function checkSchema(name: string, value: unknown, schema: Schema): void {
  if (schema.anyOf !== undefined) checkAny(name, value, schema.anyOf)
  if (schema.enum !== undefined && !schema.enum.includes(value as string))
    throw invalidArgument(`${name} must be one of ${schema.enum.join(', ')}`)
  switch (schema.type) {
    case 'object':
      checkObject(name, value, schema)
      return
    case 'array':
      checkArray(name, value, schema)
      return
    case 'string':
      checkText(name, value)
      if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value))
        throw invalidArgument(`${name} must match ${schema.pattern}`)
      if (schema.format === 'date-time' && Number.isNaN(Date.parse(value)))
        throw invalidArgument(`${name} must be a time such as 2026-01-31T12:00:00Z`)
      return
    case 'integer':
      checkInteger(name, value, {
        ...(schema.minimum !== undefined && { min: schema.minimum }),
        ...(schema.maximum !== undefined && { max: schema.maximum }),
      })
      return
    case 'number':
    case 'boolean':
      if (typeof value !== schema.type)
        throw invalidArgument(`${name} must be a ${schema.type}; got ${typeName(value)}`)
  }
}

function checkObject(
  name: string,
  value: unknown,
  { properties = {}, required = [], additionalProperties = true }: Schema,
): void {
  if (additionalProperties === false) checkFields(name, value, Object.keys(properties))
  else if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalidArgument(`${name} must be an object; got ${typeName(value)}`)
  const fields = value as Readonly<Record<string, unknown>>
  const missing = required.find((field) => fields[field] === undefined)
  if (missing !== undefined) throw invalidArgument(`${name} has no ${missing}`)
  for (const [field, each] of Object.entries(fields)) {
    const known = Object.hasOwn(properties, field) ? properties[field] : undefined
    const schema = known ?? (typeof additionalProperties === 'object' ? additionalProperties : {})
    if (each !== undefined) checkSchema(`${name}.${field}`, each, schema)
  }
}

function checkArray(name: string, value: unknown, { items = {}, minItems = 0, maxItems }: Schema): void {
  if (!Array.isArray(value)) throw invalidArgument(`${name} must be an array; got ${typeName(value)}`)
  if (value.length < minItems || value.length > (maxItems ?? value.length)) {
    throw invalidArgument(`${name} has ${value.length} entries; from ${minItems} to ${maxItems} are possible`)
  }
  for (const [index, item] of value.entries()) checkSchema(`${name}[${index}]`, item, items)
}

function checkAny(name: string, value: unknown, choices: readonly Schema[]): void {
  const problems: string[] = []
  for (const schema of choices) {
    try {
      checkSchema(name, value, schema)
      return
    } catch (error) {
      if (!PortError.is(error)) throw error
      problems.push(error.detail)
    }
  }
  throw invalidArgument(problems.join('; or '))
}
