import { inspect } from 'node:util'
import { afterAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Adapter, DatastoreAdapter, DatastoreDriver, Driver, ServerIdentity } from '../adapter.ts'
import { guard } from '../calls/guard.ts'
import { PortError } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { attach } from './attach.ts'
import {
  bounded,
  defineServices,
  type FakeContext,
  type FakeLike,
  type SeedDeclaration,
  unbounded,
  urlFlag,
  urlVariable,
} from './declare.ts'
import { native } from './native.ts'
import { checkPin, pinHolds } from './pin.ts'

interface Till {
  count(options?: CallOptions): Promise<number>
}
const Till: Port<Till> = definePort<Till>({
  name: 'till',
  operations: { count: { kind: 'call', effect: 'read', idempotent: true, arity: 0 } },
})

class Client {
  readonly host: string
  constructor(host: string) {
    this.host = host
  }
}

/** What happened, in order. */
let log: string[] = []

type Parts = Partial<Omit<DatastoreDriver<Till>, 'calls'>> & { readonly count?: Till['count'] }

/** Adapters whose drivers are what `parts` says for each host. */
function adapters(parts: Readonly<Record<string, Parts | Error>> = {}) {
  const driverOf = async (host: string): Promise<DatastoreDriver<Till>> => {
    const part = parts[host] ?? {}
    log.push(`open ${host}`)
    if (part instanceof Error) throw part
    const { count = async () => 7, ...rest } = part
    return {
      calls: { count },
      native: new Client(host),
      ping: async () => {},
      close: async () => void log.push(`close ${host}`),
      identify: async () => ({ engine: 'tills', version: '2.1.4' }),
      ...rest,
    }
  }
  const web: Adapter<Till, Client> = {
    name: 'web',
    port: Till,
    schemes: ['web'],
    example: 'web://host',
    parameters: {},
    open: async ({ host }): Promise<Driver<Till>> => driverOf(host),
  }
  const store: DatastoreAdapter<Till, Client> = {
    ...web,
    name: 'store',
    schemes: ['store'],
    engine: 'tills',
    open: async ({ host }) => driverOf(host),
    server: () => expect.fail('attaching starts no server'),
  }
  return { web, store }
}

class FakeTill implements Till, FakeLike<Till> {
  readonly guarded
  readonly context: FakeContext
  constructor(context: FakeContext) {
    this.context = context
    const close = async (): Promise<void> => void log.push(`close fake ${context.service}`)
    this.guarded = guard(Till, { calls: { count: async () => 0 }, ping: async () => {}, close }, context)
  }
  count(options?: CallOptions): Promise<number> {
    return this.guarded.port.count(options)
  }
}
const fake = async () => ({ fake: { port: Till, create: (context: FakeContext) => new FakeTill(context) } })

function declare(parts: Readonly<Record<string, Parts | Error>> = {}) {
  log = []
  const { web, store } = adapters(parts)
  return defineServices({
    first: bounded(Till, { adapter: store, version: '2.1' }),
    second: unbounded(Till, { adapters: [web], fake }),
    third: unbounded(Till, { adapters: [web], fake }),
  })
}
const env = { FIRST_URL: 'store://user:canary@a:1/db', SECOND_URL: 'web://b', THIRD_URL: 'web://c' }
const real = { env, args: [] }
const faked = { env: { FIRST_URL: env.FIRST_URL, PORTSIDE_EXTERNALS: 'fake' }, args: [] }

async function errorOf(promise: Promise<unknown>): Promise<PortError> {
  const error = await promise.then(
    () => expect.fail('it resolved'),
    (reason: unknown) => reason,
  )
  expect(error).toSatisfy(PortError.is)
  return error as PortError
}

describe('attach', () => {
  test('opens in the order of the declaration and closes the newest first, one after another', async () => {
    const slow = async (): Promise<void> => {
      log.push('closing b')
      await new Promise((resolve) => setTimeout(resolve, 10))
      log.push('closed b')
    }
    const app = await attach(declare({ b: { close: slow } }), real)
    await Promise.all([app.close(), app.close()])
    await app.close()
    expect(log).toEqual(['open a', 'open b', 'open c', 'close c', 'closing b', 'closed b', 'close a'])
    expect(await errorOf(app.first.count())).toMatchObject({ code: 'closed', service: 'first' })
  })

  test('hands out the ports, and the controls beside them where they are not listed', async () => {
    await using app = await attach(declare(), real)
    expect(await app.first.count()).toBe(7)
    expect(Object.keys(app)).toEqual(['first', 'second', 'third'])
    expect(Object.isFrozen(app)).toBe(true)
    await expect(Promise.resolve(app)).resolves.toBe(app)
  })

  test('closes at the end of its block', async () => {
    {
      await using app = await attach(declare(), real)
      expect(await app.second.count()).toBe(7)
    }
    expect(log.filter((line) => line.startsWith('close'))).toHaveLength(3)
  })

  test('closes all though some fail, and tells of every failure', async () => {
    const close = (): Promise<void> => Promise.reject(new Error('stuck'))
    const app = await attach(declare({ a: { close }, c: { close } }), real)
    const error = await app.close().then(
      () => expect.fail('it resolved'),
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(AggregateError)
    expect(error).toMatchObject({
      message: '2 services did not close cleanly',
      errors: [
        { service: 'third', operation: 'close' },
        { service: 'first', operation: 'close' },
      ],
    })
    expect(log).toContain('close b')
  })

  test('that fails half-way closes what was opened, newest first, and tells of the failure alone', async () => {
    const vendor = new Error('canary refused')
    const error = await errorOf(
      attach(declare({ c: vendor, b: { close: () => Promise.reject(new Error('x')) } }), real),
    )
    expect(error).toMatchObject({ code: 'internal', service: 'third', operation: 'open' })
    expect(error.message).toBe('third.open: unexpected failure: *** refused')
    expect(log).toEqual(['open a', 'open b', 'open c', 'close a'])
  })

  test('closes a driver that turns out to be unfit', async () => {
    const error = await errorOf(attach(declare({ b: { capabilities: ['odd'] } }), real))
    expect(error.message).toContain('declares "odd"')
    expect(log).toEqual(['open a', 'open b', 'close b', 'close a'])
  })

  test.each<[string, unknown, unknown]>([
    ['no services', null, real],
    ['no services but a number', 5, real],
    ['a service that is none', { first: null }, real],
    ['no options', declare(), null],
    ['unknown options', declare(), { ...real, retries: 3 }],
    [
      'a retry without end',
      declare(),
      { ...real, retry: { attempts: Infinity, baseDelayMs: 1, maxDelayMs: 1 } },
    ],
    ['an environment that is none', declare(), { env: null, args: [] }],
    ['a number in the environment', declare(), { env: { ...env, FIRST_URL: 5 }, args: [] }],
    ['a number among the arguments', declare(), { env, args: [5] }],
  ])('opens nothing where it is given %s', async (_, services, options) => {
    log = []
    const error = await errorOf(attach(services as never, options as never))
    expect(error).toMatchObject({ code: 'invalid-argument', outcome: 'not-applied' })
    expect(log).toEqual([])
  })

  test('opens nothing where the configuration has a problem', async () => {
    expect(await errorOf(attach(declare(), { env: {}, args: [] }))).toMatchObject({
      code: 'invalid-argument',
    })
    expect(log).toEqual([])
  })

  test('retries idempotent calls and tells the observer', async () => {
    const observe = vi.fn()
    const count = vi
      .fn(async () => 1)
      .mockRejectedValueOnce(new PortError({ code: 'unavailable', message: 'down' }))
    await using app = await attach(declare({ b: { count } }), { ...real, observe })
    expect(await app.second.count()).toBe(1)
    expect(observe).toHaveBeenCalledWith(
      expect.objectContaining({ service: 'second', operation: 'count', attempts: 2 }),
    )
  })
})

describe('the pin', () => {
  test.each<[ServerIdentity, string]>([
    [{ engine: 'tills', version: '3.0' }, 'the running server is tills 3.0, the declaration pins tills 2.1'],
    [{ engine: 'tills', version: '2' }, 'the running server is tills 2, the declaration pins tills 2.1'],
    [
      { engine: 'drawers', version: '2.1' },
      'the running server is drawers 2.1, the declaration pins tills 2.1',
    ],
  ])('that does not hold for %o refuses to attach and closes', async (identity, message) => {
    const error = await errorOf(attach(declare({ a: { identify: async () => identity } }), real))
    expect(error).toMatchObject({
      code: 'precondition-failed',
      service: 'first',
      details: { pinned: 'tills 2.1' },
    })
    expect(error.message).toBe(
      `first.identify: ${message}; point the URL at a server of the pinned version, or change the pin and test against it`,
    )
    expect(log).toEqual(['open a', 'close a'])
  })

  test.each<[string, Parts]>([
    ['ping', { ping: () => Promise.reject(new Error('canary')) }],
    ['identify', { identify: () => Promise.reject(new Error('canary')) }],
  ])('is asked for with the errors of any call: a failed %s', async (operation, part) => {
    const classify = () => ({ code: 'unauthenticated', message: 'wrong password canary' }) as const
    const error = await errorOf(attach(declare({ a: { ...part, classify } }), real))
    expect(error).toMatchObject({ code: 'unauthenticated', service: 'first', port: 'till', operation })
    expect(inspect(error, { depth: 9 })).not.toContain('canary')
    expect(log).toEqual(['open a', 'close a'])
  })

  test.each([
    ['7.0', '7.0.15', true],
    ['7.0', '7.2.0', false],
    ['17', '17.10', true],
    ['17.1', '17.10', false],
    ['17.10', '17.10 (Debian 17.10-1)', true],
    ['17.10', '17', false],
    ['1', 'one', false],
    ['7.0.0', '7.0.00', true],
  ])('%s for %s holds: %s', (pin, version, holds) => expect(pinHolds(pin, version)).toBe(holds))

  test.each(['', '7.', '.7', 'v7', '7.0-rc1', '7.0.0.0.0', '>=7', '7 '])('cannot be "%s"', (version) => {
    const { store } = adapters()
    expect(() => bounded(Till, { adapter: store, version })).toThrow(PortError)
  })

  describe('that is only warned of', () => {
    const identify = async (): Promise<ServerIdentity> => ({ engine: 'tills', version: '3.0' })
    const warned = vi.spyOn(process, 'emitWarning')
    beforeEach(() => {
      warned.mockReset().mockImplementation(() => {})
    })
    afterAll(() => warned.mockRestore())

    test('attaches, with one warning, and parity tells of it', async () => {
      await using app = await attach(declare({ a: { identify } }), { ...real, pins: 'warn' })
      expect(warned).toHaveBeenCalledExactlyOnceWith(
        expect.stringContaining('first: the running server is tills 3.0, the declaration pins tills 2.1'),
        { type: 'PortsideWarning', code: 'PORTSIDE_PIN' },
      )
      expect(app.describe()[0]?.server).toEqual({ engine: 'tills', version: '3.0' })
      expect((await app.parity()).drift).toMatchObject([
        { severity: 'high', of: 'first', found: 'tills 3.0' },
      ])
      const step = (await app.preflight()).steps.find(
        ({ rung, service }) => rung === 'version' && service === 'first',
      )
      expect(step).toMatchObject({ outcome: 'go', detail: expect.stringContaining('2.1 is pinned') })
      expect(warned).toHaveBeenCalledTimes(1)
    })

    test('warns of nothing where it holds, and of nothing else', async () => {
      await (await attach(declare(), { ...real, pins: 'warn' })).close()
      expect(warned).not.toHaveBeenCalled()
      const refused = declare({ a: { identify: () => Promise.reject(new Error('no')) } })
      expect(await errorOf(attach(refused, { ...real, pins: 'warn' }))).toMatchObject({ code: 'internal' })
    })

    test('is an explicit choice of two', async () => {
      expect(await errorOf(attach(declare(), { ...real, pins: 'ignore' as never }))).toMatchObject({
        code: 'invalid-argument',
      })
    })
  })

  test('is met in silence', () =>
    expect(checkPin('tills', '2', { engine: 'tills', version: '2.9' })).toBeUndefined())
})

describe('fakes', () => {
  test('stand in for unbounded services, with the name, clock and seed they are given', async () => {
    const create = vi.fn((context: FakeContext) => new FakeTill(context))
    const { web } = adapters()
    log = []
    const services = defineServices({
      mail: unbounded(Till, { adapters: [web], fake: async () => ({ fake: { port: Till, create } }) }),
    })
    const app = await attach(services, { env: { PORTSIDE_EXTERNALS: 'fake' }, args: [], fakes: { seed: 5 } })
    expect(await app.mail.count()).toBe(0)
    expect(create).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ service: 'mail', seed: 5 }))
    await app.close()
    expect(log).toEqual(['close fake mail'])
  })

  test('are never loaded where externals are real', async () => {
    const { web } = adapters()
    const load = vi.fn(fake)
    await using _app = await attach(
      defineServices({ mail: unbounded(Till, { adapters: [web], fake: load }) }),
      {
        env: { MAIL_URL: 'web://b' },
        args: [],
      },
    )
    expect(load).not.toHaveBeenCalled()
  })

  test.each<[string, () => Promise<unknown>, string]>([
    ['cannot be loaded', () => Promise.reject(new Error('no such module')), 'internal'],
    ['is missing from its module', async () => ({}), 'invalid-argument'],
    ['is for another port', async () => ({ fake: { port: { name: 'other' } } }), 'invalid-argument'],
  ])('that %s refuses to attach', async (_, load, code) => {
    const { web } = adapters()
    const services = defineServices({ mail: unbounded(Till, { adapters: [web], fake: load as typeof fake }) })
    const error = await errorOf(attach(services, { env: { PORTSIDE_EXTERNALS: 'fake' }, args: [] }))
    expect(error).toMatchObject({ code, service: 'mail', operation: 'attach' })
  })
})

describe('an attached app', () => {
  test('describes what it is attached to, without a secret, as a copy', async () => {
    await using app = await attach(declare(), faked)
    const described = app.describe()
    expect(described).toEqual([
      {
        service: 'first',
        port: 'till',
        boundary: 'bounded',
        implementation: 'store',
        url: 'store://a:1/db',
        pin: '2.1',
        server: { engine: 'tills', version: '2.1.4' },
      },
      {
        service: 'second',
        port: 'till',
        boundary: 'unbounded',
        implementation: 'fake',
        url: undefined,
        pin: undefined,
        server: undefined,
      },
      {
        service: 'third',
        port: 'till',
        boundary: 'unbounded',
        implementation: 'fake',
        url: undefined,
        pin: undefined,
        server: undefined,
      },
    ])
    Object.assign(described[0]?.server ?? {}, { version: 'changed' })
    expect(app.describe()[0]?.server?.version).toBe('2.1.4')
  })

  test('tells the health of each service, and never rejects', async () => {
    const ping = vi.fn(async () => {})
    await using app = await attach(declare({ b: { ping } }), real)
    expect(await app.health()).toEqual({
      ok: true,
      services: { first: { ok: true }, second: { ok: true }, third: { ok: true } },
    })
    ping.mockRejectedValueOnce(new Error('odd'))
    expect(await app.health()).toMatchObject({
      ok: false,
      services: { first: { ok: true }, second: { ok: false, reason: 'internal' } },
    })
    expect(await app.health({ signal: AbortSignal.abort() })).toMatchObject({
      ok: false,
      services: { first: { reason: 'cancelled' } },
    })
    await app.close()
    expect(await app.health()).toMatchObject({ ok: false, services: { first: { reason: 'closed' } } })
  })

  test('tells its parity: what runs now, whoever is fake, and no secret', async () => {
    let version = '2.1.4'
    const fingerprint = async () => ({
      facts: { encoding: { value: 'UTF8', severity: 'high' as const } },
      unknown: {},
    })
    const identify = async () => ({ engine: 'tills', version })
    await using app = await attach(declare({ a: { identify, fingerprint } }), faked)
    version = '2.2.0'
    const report = await app.parity({ evidence: 'no-such-folder', build: 'no-such-file' })
    expect(report.services).toMatchObject([
      {
        service: 'first',
        implementation: 'store',
        pin: 'tills 2.1',
        server: { version: '2.2.0' },
        fingerprint: { facts: { encoding: { value: 'UTF8' } } },
      },
      { service: 'second', implementation: 'fake', pin: undefined, server: undefined },
      { service: 'third', implementation: 'fake' },
    ])
    expect(report.drift).toHaveLength(1)
    expect(JSON.stringify(report)).not.toContain('canary')
    await app.close()
    const [first] = (await app.parity()).services
    expect(first?.problem?.code).toBe('closed')
  })

  test("gives the vendor's client behind a port, and none behind a fake", async () => {
    await using app = await attach(declare(), faked)
    const client: Client = native(app.first)
    expect(client).toBeInstanceOf(Client)
    expect(client.host).toBe('a')
    expect(() => native<unknown>(app.second as object)).toThrow(PortError)
    expect(() => native({})).toThrow(PortError)
  })
})

describe('a declaration', () => {
  const { web, store } = adapters()
  const seeder = async () => expect.fail('declaring makes no data')
  const service = unbounded(Till, { adapters: [web], fake })

  test.each(['close', 'health', 'describe', 'then', 'Mail', 'my-mail', 'my_mail', '__proto__', '', '2nd'])(
    'refuses the name "%s"',
    (name) => expect(() => defineServices({ [name]: service })).toThrow(PortError),
  )

  test('refuses two names that read one variable', () => {
    expect(() => defineServices({ ordersDb: service, orders: service })).not.toThrow()
    expect(() => defineServices({ ordersDB: service, ordersDb: service })).toThrow(/ORDERS_DB_URL/)
  })

  test.each([
    ['mail', 'MAIL_URL', '--mail-url'],
    ['ticketPrinter', 'TICKET_PRINTER_URL', '--ticket-printer-url'],
    ['s3Files', 'S3_FILES_URL', '--s3-files-url'],
  ])('of %s is read from %s and %s', (name, variable, flag) => {
    expect([urlVariable(name), urlFlag(name)]).toEqual([variable, flag])
  })

  test('refuses adapters of another port, of one scheme, and of the scheme of fakes', () => {
    const other = { ...web, port: { ...Till, name: 'other' } }
    expect(() => unbounded(Till, { adapters: [other], fake })).toThrow(/is for the port "other"/)
    expect(() =>
      bounded(Till, { adapter: { ...store, port: { ...Till, name: 'other' } }, version: '1' }),
    ).toThrow(PortError)
    expect(() => unbounded(Till, { adapters: [web, { ...web, name: 'web2' }], fake })).toThrow(
      /"web" of adapter "web2" is taken/,
    )
    expect(() => unbounded(Till, { adapters: [{ ...web, schemes: ['fake'] }], fake })).toThrow(PortError)
  })

  test.each<[string, () => unknown]>([
    ['no services', () => defineServices(null as never)],
    ['a service that is none', () => defineServices({ mail: 5 as never })],
    ['no port', () => unbounded(null as never, { adapters: [web], fake } as never)],
    ['no options', () => bounded(Till, null as never)],
    ['no adapter', () => unbounded(Till, { adapters: [] as never, fake })],
    ['an adapter that is none', () => bounded(Till, { adapter: undefined as never, version: '1' })],
    ['no fake', () => unbounded(Till, { adapters: [web] } as never)],
    ['a fake for a bounded service', () => bounded(Till, { adapter: store, version: '1', fake } as never)],
    [
      'a seed where no data are made',
      () => bounded(Till, { adapter: store, version: '1', seed: {} } as never),
    ],
    ...[
      [5, 'a number for a seed'],
      [{ size: 5 }, 'a seed of what it has not'],
      [{ rows: -1 }, 'fewer rows than none'],
      [{ seed: 1.5 }, 'a half seed'],
      [{ file: '' }, 'a seed file without a name'],
      [new URL('https://example.com/seed.ts'), 'a seed file elsewhere'],
    ].map(([seed, what]): [string, () => unknown] => [
      what as string,
      () => bounded(Till, { adapter: { ...store, seeder }, version: '1', seed } as never),
    ]),
    [
      'a version of an unbounded one',
      () => unbounded(Till, { adapters: [web], fake, version: '1' } as never),
    ],
  ])('is refused with %s, also where no types are checked', (_, declaring) => {
    expect(declaring).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })

  test('names a seed file by its path', () => {
    const seeded = (seed: string | URL | SeedDeclaration) =>
      bounded(Till, { adapter: { ...store, seeder }, version: '1', seed }).seed
    expect(seeded(new URL('file:///app/a%20seed.ts'))).toEqual({ file: '/app/a seed.ts' })
    expect(seeded('seed.ts')).toEqual({ file: 'seed.ts' })
    expect(seeded({ rows: 20, seed: 7 })).toEqual({ rows: 20, seed: 7 })
    expect(bounded(Till, { adapter: { ...store, seeder }, version: '1' }).seed).toBeUndefined()
  })

  test('cannot be changed afterwards', () =>
    expect(Object.isFrozen(defineServices({ mail: service }))).toBe(true))
})
