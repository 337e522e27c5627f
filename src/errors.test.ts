import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { PortError, type PortErrorInit, portErrorCodes } from './errors.ts'
import { definePort } from './port.ts'

const init: PortErrorInit = {
  code: 'conflict',
  message: 'someone was faster; read again',
  service: 'orders',
  port: 'sql-database',
  operation: 'execute',
  subject: 'table "seats"',
  details: { constraint: 'seats_pkey' },
  cause: new Error('SQLSTATE 40001'),
}

describe('a PortError', () => {
  test('says where, on what, and what to do', () => {
    expect(new PortError(init).message).toBe(
      'orders.execute("table \\"seats\\""): someone was faster; read again',
    )
  })

  test.each<[Partial<PortErrorInit>, string]>([
    [{}, 'gone'],
    [{ port: 'mailer', operation: 'send' }, 'mailer.send: gone'],
    [{ service: 'mail', port: 'mailer' }, 'mail: gone'],
    [{ operation: 'attach' }, 'attach: gone'],
    [{ operation: 'get', subject: 'a\nb' }, 'get("a\\nb"): gone'],
    [{ operation: 'get', subject: 'x'.repeat(500) }, `get("${'x'.repeat(120)}…"): gone`],
  ])('with %o names what is known', (where, message) => {
    expect(new PortError({ code: 'not-found', message: 'gone', ...where }).message).toBe(message)
  })

  test('keeps its message on one line whatever the subject', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (subject) => {
        expect(
          new PortError({ code: 'not-found', message: 'gone', operation: 'get', subject }).message,
        ).not.toMatch(/[\n\r\0]/)
      }),
    )
  })

  test.each(portErrorCodes)('of code %s is retryable and uncertain as its code says, unless told', (code) => {
    const { retryable, outcome } = new PortError({ code, message: 'x' })
    expect(retryable).toBe(['unavailable', 'timeout', 'rate-limited', 'conflict'].includes(code))
    const uncertain = ['timeout', 'cancelled', 'unavailable', 'internal', 'corrupt'].includes(code)
    expect(outcome).toBe(uncertain ? 'unknown' : 'not-applied')
    expect(new PortError({ code, message: 'x', retryable: !retryable, outcome: 'applied' })).toMatchObject({
      retryable: !retryable,
      outcome: 'applied',
    })
  })

  test('is known across two copies of this package, and nothing else is', async () => {
    vi.resetModules()
    const copy = (await import('./errors.ts')).PortError
    expect(copy).not.toBe(PortError)
    expect(PortError.is(new copy(init))).toBe(true)
    expect(copy.is(new PortError(init))).toBe(true)
    for (const other of [undefined, null, 'x', {}, new Error('x'), { ...new PortError(init) }, PortError]) {
      expect(PortError.is(other)).toBe(false)
    }
  })

  test('as JSON has every field but stack and cause', () => {
    const { code, message, service, port, operation, subject, details } = JSON.parse(
      JSON.stringify(new PortError(init)),
    )
    expect({ code, service, port, operation, subject, details }).toEqual({
      ...init,
      message: undefined,
      cause: undefined,
    })
    expect(message).toBe(new PortError(init).message)
    expect(JSON.stringify(new PortError(init))).not.toMatch(/40001|errors\.test/)
  })

  test('inspected shows its name, message, place and cause once', () => {
    const shown = inspect(new PortError(init))
    expect(shown).toMatch(/^PortError: orders\.execute/)
    expect(shown).toContain('errors.test.ts')
    expect(shown.match(/SQLSTATE 40001/g)).toHaveLength(1)
  })

  test('keeps its details from later changes, and its cause as given', () => {
    const details: Record<string, string> = { a: '1' }
    const error = new PortError({ ...init, details })
    details.a = '2'
    expect(error.details).toEqual({ a: '1' })
    expect(error.cause).toBe(init.cause)
    expect(Object.hasOwn(new PortError({ code: 'internal', message: 'x' }), 'cause')).toBe(false)
  })

  test('survives a structured clone as an error that tells the same', () => {
    const clone = structuredClone(new PortError(init))
    expect(clone).toBeInstanceOf(Error)
    expect(clone.message).toBe(new PortError(init).message)
    expect(PortError.is(clone)).toBe(false)
  })
})

describe('a port', () => {
  interface One {
    go(): Promise<void>
  }
  const go = { kind: 'call', effect: 'read', idempotent: true, arity: 0 } as const

  test.each(['', 'Big', 'two words', 'a--b', '-a', 'a_b', '1st'])('cannot be named "%s"', (name) => {
    expect(() => definePort<One>({ name, operations: { go } })).toThrow(PortError)
  })

  test.each([-1, 0.5, Number.NaN])('cannot have an operation of arity %d', (arity) => {
    expect(() => definePort<One>({ name: 'one', operations: { go: { ...go, arity } } })).toThrow(
      /"go" of port "one"/,
    )
  })
})
