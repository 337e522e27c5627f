import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Redactor } from './redact.ts'

/** Any secret long enough to be masked, lone surrogates and pattern characters among them. */
const secrets = fc.oneof(
  fc.string({ unit: 'binary', minLength: 4, maxLength: 40 }),
  fc.string({ minLength: 4, maxLength: 40 }),
  fc.stringMatching(/^[a-zA-Z0-9+/=$^.*\\[\]()%&@:' "`-]{4,40}$/),
)

const surroundings = fc.tuple(fc.string(), fc.string())

/** Everything an error shows of itself. */
function shown(value: unknown): string {
  const texts = [inspect(value, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null })]
  if (value instanceof Error) texts.push(String(value), value.stack ?? '', value.message)
  texts.push(JSON.stringify(value) ?? '')
  return texts.join('\n')
}

/** A secret of which no piece is likely to stand anywhere by chance. */
const marked = secrets.map((secret) => `canary${secret}`)

describe('a text', () => {
  const written: Readonly<Record<string, (secret: string) => string>> = {
    'as it is': (secret) => secret,
    'percent-encoded': (secret) => encodeURIComponent(secret.toWellFormed()),
    'percent-encoded in lower case': (secret) =>
      encodeURIComponent(secret.toWellFormed()).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    'encoded as a form': (secret) => new URLSearchParams({ s: secret.toWellFormed() }).toString().slice(2),
    "as a URL's password": (secret) => {
      const url = new URL('https://host')
      url.password = secret.toWellFormed()
      return url.password
    },
    'as JSON': (secret) => JSON.stringify(secret).slice(1, -1),
    'as JSON in JSON': (secret) => JSON.stringify(JSON.stringify(secret)).slice(3, -3),
    'as base64': (secret) => Buffer.from(secret).toString('base64'),
    'as base64url': (secret) => Buffer.from(secret).toString('base64url'),
    'as hexadecimal': (secret) => Buffer.from(secret).toString('hex'),
  }

  test.each(Object.entries(written))('never shows a secret %s', (_, write) => {
    fc.assert(
      fc.property(secrets, surroundings, (secret, [before, after]) => {
        const form = write(secret)
        const clean = new Redactor([secret]).text(`${before}${form}${after}`)
        assert.ok(!clean.includes(form), 'it shows')
        assert.ok(clean.includes('***'))
      }),
      { numRuns: 100 },
    )
  })

  test('never shows a secret in the base64 of more than the secret, such as a Basic header', () => {
    fc.assert(
      fc.property(secrets, fc.string(), fc.string(), (secret, user, more) => {
        const header = `Basic ${Buffer.from(`${user}:${secret}${more}`).toString('base64')}`
        const clean = new Redactor([secret]).text(header)
        const decoded = clean
          .slice('Basic '.length)
          .split('***')
          .map((part) => Buffer.from(part, 'base64').toString())
        for (const part of decoded) assert.ok(!part.includes(secret))
        assert.ok(clean.includes('***'))
      }),
      { numRuns: 200 },
    )
  })

  test('never shows one of many secrets, one inside the other or beside it', () => {
    fc.assert(
      fc.property(fc.array(secrets, { minLength: 1, maxLength: 5 }), fc.string(), (all, between) => {
        const clean = new Redactor([...all, `${all[0]}${all.at(-1)}`]).text(all.join(between) + all.join(''))
        for (const secret of all) assert.ok(!clean.includes(secret))
      }),
    )
  })

  test('without a secret stays as it is', () => {
    const text = 'relation "orders" does not exist at https://example.com:5432/path?query=1'
    expect(new Redactor(['something-else']).text(text)).toBe(text)
  })

  test('hides the password of any URL, also one that nobody declared', () => {
    expect(new Redactor([]).text('cannot reach redis://app:hunter2@cache:6379/0')).toBe(
      'cannot reach redis://app:***@cache:6379/0',
    )
  })

  test('of a megabyte without any URL is read in one go', () => {
    const text = 'a'.repeat(1_000_000)
    expect(new Redactor(['hunter22']).text(text)).toBe(text)
  })

  test('keeps a secret of less than four characters: it would mask ordinary words', () => {
    expect(new Redactor(['is']).text('this is it')).toBe('this is it')
  })
})

describe('an error', () => {
  const places: Readonly<Record<string, (secret: string) => unknown>> = {
    'its message and stack': (secret) => new Error(`failed with ${secret}`),
    'its cause': (secret) => new Error('outer', { cause: new Error('inner', { cause: new Error(secret) }) }),
    'a property': (secret) => Object.assign(new Error('failed'), { config: { auth: { password: secret } } }),
    'the name of a property': (secret) => Object.assign(new Error('failed'), { headers: { [secret]: 'x' } }),
    'a property with a symbol': (secret) =>
      Object.assign(new Error('failed'), { [Symbol('headers')]: secret }),
    "a symbol's description": (secret) => Object.assign(new Error('failed'), { [Symbol(secret)]: 1 }),
    'an array': (secret) => Object.assign(new Error('failed'), { args: ['AUTH', [secret]] }),
    'a map and a set': (secret) =>
      Object.assign(new Error('failed'), { map: new Map([[secret, secret]]), set: new Set([secret]) }),
    'a buffer': (secret) => Object.assign(new Error('failed'), { sent: Buffer.from(`AUTH ${secret}`) }),
    'many errors in one': (secret) => new AggregateError([new Error(secret), secret], `all: ${secret}`),
    'a frozen error': (secret) => Object.freeze(Object.assign(new Error(secret), { code: secret })),
    'a sealed error': (secret) => Object.seal(Object.assign(new Error(secret), { code: secret })),
    'a frozen part': (secret) => Object.assign(new Error('x'), { request: Object.freeze({ url: secret }) }),
    'a part that cannot be changed': (secret) =>
      Object.defineProperty(new Error('x'), 'token', { value: secret, enumerable: true }),
    'an accessor': (secret) =>
      Object.defineProperty(new Error('x'), 'url', { get: () => secret, enumerable: true }),
    'an instance of a class': (secret) =>
      Object.assign(new Error('x'), {
        client: new (class Client {
          password = secret
        })(),
      }),
    'a proxy': (secret) => Object.assign(new Error('x'), { proxy: new Proxy({ secret }, {}) }),
    'an object without prototype': (secret) =>
      Object.assign(new Error('x'), { query: Object.assign(Object.create(null), { secret }) }),
    'a function': (secret) => Object.assign(new Error('x'), { retry: Object.assign(() => {}, { secret }) }),
    'depths below what is read': (secret) => {
      let deep: object = { secret }
      for (let level = 0; level < 20; level += 1) deep = { deep }
      return Object.assign(new Error('x'), { deep })
    },
    'a part far behind many others': (secret) =>
      Object.assign(new Error('x'), { rows: [...new Array(20_000).fill(1), secret] }),
    'a text that was thrown': (secret) => secret,
    'a plain object that was thrown': (secret) => ({ message: secret, toJSON: () => secret }),
  }

  test.each(Object.entries(places))('never shows a secret in %s', (_, put) => {
    fc.assert(
      fc.property(marked, (secret) => {
        const clean = shown(new Redactor([secret]).error(put(secret)))
        assert.ok(!clean.includes(secret), 'it shows')
        assert.ok(!clean.includes(JSON.stringify(secret).slice(1, -1)), 'it shows in JSON')
      }),
      { numRuns: 40 },
    )
  })

  test('stays the same object, of its own class, with what is no secret', () => {
    class VendorError extends Error {
      readonly status = 503
    }
    const error = Object.assign(new VendorError('no answer for hunter22'), { requestId: 'r-1' })
    const clean = new Redactor(['hunter22']).error(error)
    expect(clean).toBe(error)
    expect(clean).toMatchObject({ message: 'no answer for ***', status: 503, requestId: 'r-1' })
    expect((clean as Error).stack).toContain('redact.test.ts')
  })

  test('that is frozen is replaced by one of the same class that tells the rest', () => {
    class VendorError extends Error {}
    const frozen = Object.freeze(Object.assign(new VendorError('bad hunter22'), { code: 'E1' }))
    const clean = new Redactor(['hunter22']).error(frozen)
    expect(clean).not.toBe(frozen)
    expect(clean).toBeInstanceOf(VendorError)
    expect(clean).toMatchObject({ message: 'bad ***', code: 'E1' })
    expect((clean as Error).stack).toContain('redact.test.ts')
  })

  test('is never asked to run code of its own', () => {
    const run = () => {
      throw new Error('code of the error ran')
    }
    const hostile = Object.defineProperties(new Error('x'), {
      a: { get: run, enumerable: true, configurable: true },
      b: { get: run, set: run, enumerable: true },
      stack: { get: run, configurable: true },
    })
    const traps = { get: run, ownKeys: run, getPrototypeOf: run, getOwnPropertyDescriptor: run, has: run }
    const proxy = new Proxy({}, traps)
    const redactor = new Redactor(['hunter22'])
    expect(() => redactor.error(Object.assign(hostile, { proxy }))).not.toThrow()
    expect(() => redactor.error(proxy)).not.toThrow()
  })

  test('may refer to itself', () => {
    const error: Error & { self?: unknown; list?: unknown } = new Error('hunter22')
    error.self = error
    error.cause = error
    error.list = Object.freeze([error])
    const clean = new Redactor(['hunter22']).error(error) as typeof error
    expect(clean.self).toBe(clean)
    expect(clean.list).toEqual([clean])
    expect(inspect(clean, { depth: 20 })).not.toContain('hunter22')
  })

  test('of any shape at all is cleaned without a throw', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }), (thing) => {
        new Redactor(['hunter22']).error(thing)
      }),
    )
  })

  test('that nobody knows a secret of keeps numbers, dates and bytes as they are', () => {
    const facts = {
      at: new Date(0),
      bytes: new Uint8Array([1, 2]),
      count: 12,
      missing: undefined,
      none: null,
    }
    const error = Object.assign(new Error('x'), { facts: { ...facts } })
    expect(new Redactor(['hunter22']).error(error)).toHaveProperty('facts', facts)
  })
})
