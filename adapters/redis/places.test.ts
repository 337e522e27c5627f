import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../contract-tests/servers.ts'
import type { PlaceSupply, SupplyOptions } from '../../src/servers/isolation.ts'
import { isolation } from './server.ts'

// Of its own: the registry of a server that others use would show theirs as well.
let server: OwnServer
beforeAll(async () => {
  server = await startServer('redis', { durable: false })
})
afterAll(() => server.dispose())

const supplies: PlaceSupply[] = []
const clients: Redis[] = []
const children: ChildProcess[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(supplies.splice(0).map((each) => each.close()))
})

async function open(options: Partial<SupplyOptions> = {}): Promise<PlaceSupply> {
  const supply = await isolation.supply(server.adminUrl(), {
    service: 'sessions',
    rights: 'data',
    ...options,
  })
  supplies.push(supply)
  return supply
}

function connect(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null })
  client.on('error', () => {})
  clients.push(client)
  return client
}

const numberOf = (url: string): number => Number(new URL(url).pathname.slice(1))
const sizeOf = async (number: number): Promise<number> => {
  const admin = connect(server.adminUrl())
  await admin.select(number)
  return admin.dbsize()
}

describe('a place', () => {
  test('is empty, and sees nothing of another', async () => {
    const supply = await open()
    const [first, second] = await Promise.all([supply.take(), supply.take()])
    const [one, two] = [connect(first.url), connect(second.url)]
    await one.set('key', 'first')
    expect(await two.get('key')).toBeNull()
    expect(await two.keys('*')).toEqual([])
    expect((await two.scan(0))[1]).toEqual([])
    await two.flushdb()
    expect(await one.get('key')).toBe('first')
  })

  test('lets its user out by no command', async () => {
    const supply = await open()
    const [first, second] = await Promise.all([supply.take(), supply.take()])
    const client = connect(first.url)
    const other = String(numberOf(second.url))
    await client.set('key', 'value')
    for (const [name, ...args] of [
      ['select', other],
      ['select', '0'],
      ['move', 'key', other],
      ['copy', 'key', 'key', 'db', other],
      ['swapdb', String(numberOf(first.url)), other],
      ['flushall'],
      ['eval', `return redis.call('select', ${other})`, '0'],
      ['config', 'get', 'databases'],
      ['acl', 'setuser', 'mine', 'on', 'nopass', '+@all'],
      ['client', 'kill', 'type', 'normal'],
      ['script', 'flush'],
      ['function', 'flush'],
      ['publish', 'channel', 'message'],
      ['shutdown', 'nosave'],
    ] as [string, ...string[]][]) {
      await expect(client.call(name, ...args), name).rejects.toThrow(/NOPERM|can't run this command/)
    }
  })

  test('does what an app does', async () => {
    const supply = await open()
    const client = connect((await supply.take()).url)
    expect(await client.info('server')).toContain('redis_version')
    expect(await client.eval("return redis.call('incr', KEYS[1])", 1, 'count')).toBe(1)
    expect(await client.multi().rpush('list', 'a').lrange('list', 0, -1).exec()).toHaveLength(2)
    expect(await client.copy('list', 'other').catch((error: Error) => error.message)).toContain('NOPERM')
  })

  test('begins with its seed', async () => {
    const build = async (url: string): Promise<void> => void (await connect(url).set('greeting', 'hello'))
    const supply = await open({ template: { key: 'greeting', build } })
    for (let times = 0; times < 2; times += 1) {
      expect(await connect((await supply.take()).url).get('greeting')).toBe('hello')
    }
  })

  test('that cannot be seeded is given up', async () => {
    const build = (): Promise<void> => Promise.reject(new Error('no seed'))
    const supply = await open({ template: { key: 'none', build } })
    const admin = connect(server.adminUrl())
    await admin.select(1)
    const before = await admin.hgetall('portside:places')
    await expect(supply.take()).rejects.toThrow('no seed')
    expect(await admin.hgetall('portside:places')).toEqual(before)
  })

  test('that was dropped is empty for the next, and its user is gone', async () => {
    const supply = await open()
    const place = await supply.take()
    const client = connect(place.url)
    await client.set('key', 'value')
    const ended = once(client, 'end')
    await place.drop()
    await place.drop()
    await ended
    expect(await sizeOf(numberOf(place.url))).toBe(0)
    await expect(connect(place.url).get('key')).rejects.toThrow()
    const next = await supply.take()
    expect(numberOf(next.url)).toBe(numberOf(place.url))
    expect(await connect(next.url).get('key')).toBeNull()
    await next.drop()
  })

  test('that is kept outlives its supply, with no one connected, and only the newest ten do', async () => {
    const service = `kept-${randomUUID()}`
    const supply = await open({ service })
    const urls: string[] = []
    for (let count = 0; count < 11; count += 1) {
      const place = await supply.take()
      const client = connect(place.url)
      await client.set('key', String(count))
      const ended = once(client, 'end')
      await place.keep(`test ${count}`)
      await ended
      urls.push(place.url)
    }
    await supplies.pop()?.close()
    await open()
    const [first = '', ...later] = urls
    for (const url of later) expect(await connect(url).get('key')).not.toBeNull()
    await expect(connect(first).get('key')).rejects.toThrow()
  })
})

describe('the supply', () => {
  test('never gives out a database that holds something', async () => {
    const supply = await open()
    const place = await supply.take()
    await place.drop()
    const admin = connect(server.adminUrl())
    await admin.select(numberOf(place.url))
    await admin.set('precious', 'value')
    expect(numberOf((await supply.take()).url)).not.toBe(numberOf(place.url))
    expect(await admin.get('precious')).toBe('value')
    await admin.flushdb()
  })

  test('sweeps what a killed process had, and leaves alone what a living one has', async () => {
    const [dead, alive] = [start(), start()]
    const [lost, used] = await Promise.all([firstLine(dead), firstLine(alive)])
    for (const url of [lost, used]) await connect(url).set('key', 'value')
    dead.kill('SIGKILL')
    await once(dead, 'exit')
    const own = await (await open()).take()
    expect(await connect(used).get('key')).toBe('value')
    expect(await sizeOf(numberOf(lost))).toBe(0)
    await expect(connect(lost).get('key')).rejects.toThrow()
    expect(numberOf(own.url)).not.toBe(numberOf(used))
  })

  test('says so when every database is taken', async () => {
    const supply = await open()
    const admin = connect(server.adminUrl())
    await admin.select(1)
    const taken = Array.from({ length: 4096 }, (_, number) => number)
    await admin.hset('portside:places', ...taken.flatMap((number) => [number, '{"state":"kept"}']))
    await expect(supply.take()).rejects.toMatchObject({ code: 'quota-exceeded' })
    await admin.del('portside:places')
  })

  test('drops what was not given up when it is closed', async () => {
    const { url } = await (await open()).take()
    await connect(url).set('key', 'value')
    await supplies.pop()?.close()
    expect(await sizeOf(numberOf(url))).toBe(0)
  })

  test('hands out nothing after it was closed', async () => {
    const supply = await open()
    await supplies.pop()?.close()
    await expect(supply.take()).rejects.toMatchObject({ code: 'closed' })
  })

  test.each([
    '',
    'postgres://localhost',
    'redis://:canary@localhost/?nonsense=1',
    'redis://localhost?cluster=true',
  ])('refuses the URL "%s"', async (url) => {
    const error = await isolation.supply(url, { service: 'sessions', rights: 'data' }).then(
      () => expect.fail('it resolved'),
      (reason: unknown) => reason as Error,
    )
    expect(error).toMatchObject({ code: 'invalid-argument' })
    expect(error.message).not.toContain('canary')
  })

  test('tells of a server that is not there', async () => {
    const gone = isolation.supply('redis://127.0.0.1:1', { service: 'sessions', rights: 'data' })
    await expect(gone).rejects.toMatchObject({ code: 'unavailable' })
  })
})

/** Another process that takes a keyspace. */
function start(): ChildProcess {
  const file = fileURLToPath(new URL('./fixtures/place.ts', import.meta.url))
  const child = spawn(process.execPath, [file, server.adminUrl()], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return line
  return expect.fail('it ended without a word')
}
