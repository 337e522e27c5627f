/** Starting what a declaration needs, on a small program that stands for any datastore. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DatastoreAdapter, MigrationReport } from '../adapter.ts'
import { definePort } from '../port.ts'
import { bounded, defineServices, type Services } from '../services/declare.ts'
import { toyServer } from './fixtures/toy-server.ts'
import { identifyProcess } from './processes.ts'
import { startServices } from './services.ts'

interface Toy {
  play(options?: { readonly signal?: AbortSignal }): Promise<void>
}

const toys = definePort<Toy>({
  name: 'toys',
  operations: { play: { kind: 'call', effect: 'read', idempotent: true, arity: 0 } },
})

interface Options {
  readonly engine?: string
  readonly mode?: string
  readonly migrate?: (directory: string) => Promise<MigrationReport>
}

function toy({ engine = 'toy', mode, migrate }: Options = {}): DatastoreAdapter<Toy> {
  return {
    name: 'toy',
    port: toys,
    schemes: ['toy'],
    example: 'toy://host/name',
    parameters: {},
    engine,
    server: async () => ({ server: toyServer(mode) }),
    open: () => Promise.reject(new Error('starting attaches nothing')),
    ...(migrate === undefined ? {} : { migrate: (_, directory) => migrate(directory) }),
  }
}

let folder: string
let directory: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-services-'))
  directory = join(folder, '.portside')
})
afterEach(() => rmSync(folder, { recursive: true, maxRetries: 5 }))

function lives(pid: number): boolean {
  return identifyProcess(pid) !== undefined
}

function processIn(name: string): number {
  return Number(readFileSync(join(directory, name, 'data', 'pid'), 'utf8'))
}

test('services of one engine and pin share a server, each with a place of its own', async () => {
  const services = defineServices({
    orders: bounded(toys, { adapter: toy(), version: '1.2' }),
    carts: bounded(toys, { adapter: toy(), version: '1.2' }),
    other: bounded(toys, { adapter: toy({ engine: 'second' }), version: '1.2' }),
  })
  const started = await startServices(services, { directory })
  const { orders, carts, other } = started.servers
  expect(carts).toBe(orders)
  expect(other.pid).not.toBe(orders.pid)
  expect(started.env).toEqual({
    ORDERS_URL: `toy://127.0.0.1:${orders.port}/orders`,
    CARTS_URL: `toy://127.0.0.1:${orders.port}/carts`,
    OTHER_URL: `toy://127.0.0.1:${other.port}/other`,
    PORTSIDE_EXTERNALS: 'fake',
  })
  expect(readFileSync(join(directory, '.gitignore'), 'utf8')).toBe('*\n')
  await started.stop()
  await started.stop()
  expect([orders.pid, other.pid].filter(lives)).toEqual([])
})

test('the environment is not looked at unless it is handed over', async () => {
  const services = defineServices({ orders: bounded(toys, { adapter: toy(), version: '1.2' }) })
  process.env.ORDERS_URL = 'toy://elsewhere/orders'
  try {
    await using started = await startServices(services, { directory })
    expect(started.env.ORDERS_URL).toContain('127.0.0.1')
  } finally {
    delete process.env.ORDERS_URL
  }
})

test('a service with a URL, or a file with one, is left to it; nothing is started and nothing is made', async () => {
  writeFileSync(join(folder, 'url'), 'toy://elsewhere/carts')
  const adapter = toy({ migrate: () => Promise.reject(new Error('not ours')) })
  const services = defineServices({
    orders: bounded(toys, { adapter, version: '1.2', migrations: folder }),
    carts: bounded(toys, { adapter, version: '1.2' }),
  })
  const env = { ORDERS_URL: 'toy://elsewhere/orders', CARTS_URL_FILE: join(folder, 'url'), OTHER: 'x' }
  await using started = await startServices(services, { directory, env })
  expect(started.servers).toEqual({})
  const { OTHER: _, ...urls } = env
  expect(started.env).toEqual({ ...urls, PORTSIDE_EXTERNALS: 'fake' })
  expect(existsSync(directory)).toBe(false)
})

test('migrations are applied to the servers that run, unless asked not to', async () => {
  const migrated: string[] = []
  const adapter = toy({
    migrate: async (path) => {
      migrated.push(path)
      return { applied: ['1', '2'] }
    },
  })
  const services = defineServices({ orders: bounded(toys, { adapter, version: '1.2', migrations: folder }) })
  const told: string[] = []
  await (await startServices(services, { directory, migrate: false })).stop()
  expect(migrated).toEqual([])
  await (await startServices(services, { directory, onProgress: (line) => told.push(line) })).stop()
  expect(migrated).toEqual([folder])
  expect(told).toContain('orders: 2 migrations applied')
})

test.each([
  ['one server does not start', { mode: 'dies' }, 'unavailable'],
  ['the migrations fail', { migrate: () => Promise.reject(new Error('no such table')) }, undefined],
] as [string, Options, string | undefined][])('where %s, the others are stopped', async (_, second, code) => {
  const services = defineServices({
    first: bounded(toys, { adapter: toy(), version: '1.2' }),
    second: bounded(toys, {
      adapter: toy({ engine: 'second', ...second }),
      version: '1.2',
      ...(second.migrate === undefined ? {} : { migrations: folder }),
    }),
  })
  const error = await startServices(services, { directory }).catch((reason: unknown) => reason)
  expect(error).toMatchObject(code === undefined ? { message: 'no such table' } : { code })
  expect([processIn('toy-1'), processIn('second-1')].filter(lives)).toEqual([])
})

test('aborted, it leaves no server', async () => {
  const services = defineServices({
    first: bounded(toys, { adapter: toy(), version: '1.2' }),
    second: bounded(toys, { adapter: toy({ engine: 'second', mode: 'never-ready' }), version: '1.2' }),
  })
  const controller = new AbortController()
  const starting = startServices(services, { directory, signal: controller.signal })
  await expect.poll(() => existsSync(join(directory, 'second-1', 'data', 'pid'))).toBe(true)
  controller.abort()
  await expect(starting).rejects.toMatchObject({ code: 'cancelled' })
  expect([processIn('toy-1'), processIn('second-1')].filter(lives)).toEqual([])
})

test.each([
  [
    'its migrations are not there',
    { migrate: async () => ({ applied: [] }) },
    '/no/such/folder',
    {},
    /are not there: \/no\/such\/folder/,
  ],
  ['its adapter applies none', {}, tmpdir(), {}, /adapter "toy" has none/],
  [
    'external services would be real',
    {},
    undefined,
    { PORTSIDE_EXTERNALS: 'real' },
    /must be unset or "fake"/,
  ],
  [
    'its URL is of another kind',
    {},
    undefined,
    { ORDERS_URL: 'http://host' },
    /ORDERS_URL is of no known scheme/,
  ],
] as [string, Options, string | undefined, Record<string, string>, RegExp][])(
  'a declaration is refused before anything is made where %s',
  async (_, options, migrations, env, message) => {
    const services: Services = defineServices({
      orders: bounded(toys, {
        adapter: toy(options),
        version: '1.2',
        ...(migrations === undefined ? {} : { migrations }),
      }),
    })
    await expect(startServices(services, { directory, env })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message),
    })
    expect(readdirSync(folder)).toEqual([])
  },
)

test('a folder that cannot be made says so', async () => {
  writeFileSync(join(folder, 'file'), '')
  const services = defineServices({ orders: bounded(toys, { adapter: toy(), version: '1.2' }) })
  await expect(startServices(services, { directory: join(folder, 'file', 'below') })).rejects.toMatchObject({
    code: 'permission-denied',
  })
})
