import { spawn } from 'node:child_process'
import { createServer, type Server, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Cluster, Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { freshRedis, type OwnServer, startServer } from '../../contract-tests/servers.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { escapeGlob } from './glob.ts'
import { parseIdentity } from './identity.ts'
import { redis } from './index.ts'
import { redisKeyValueStore } from './key-value-store.ts'

const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close()
})

function parse(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, redis.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

async function openOn(url: string): Promise<Guarded<KeyValueStore>> {
  const driver = await redis.open(parse(url), { service: 'sessions', clock: systemClock })
  const guarded = guard(KeyValueStore, driver, { service: 'sessions' })
  opened.push(guarded)
  return guarded
}

/** An empty keyspace, its URL, and a plain client on it. */
async function place(): Promise<{ url: string; client: Redis }> {
  const { url, drop } = await freshRedis()
  opened.push({ close: drop })
  const client = new Redis(url)
  opened.push({ close: async () => client.disconnect() })
  return { url, client }
}

describe('the URL', () => {
  test.each([
    ['redis://localhost', []],
    ['redis://localhost:6379/15', []],
    ['rediss://user:secret@redis.example.com:6380/0?connectTimeoutMs=100', []],
    ['redis://localhost?cluster=true', []],
    ['redis://[::1]:6379', []],
    ['redis:///0', ['it names no host']],
    ['redis://localhost/sessions', ['its path must be the number of a database, such as /0']],
    ['redis://localhost/-1', ['its path must be the number of a database, such as /0']],
    ['redis://localhost/1?cluster=true', ['a cluster has database 0 alone']],
    ['redis://user@localhost', ['it has a user but no password']],
    ['redis://localhost?caFile=ca.pem', ['caFile is for rediss: alone']],
    ['redis://localhost?keyPrefix=a%00', ['its keyPrefix holds a NUL character']],
    [`redis://localhost?keyPrefix=${'x'.repeat(513)}`, ['its keyPrefix is longer than 512 bytes']],
  ])('%s', (text, problems) => {
    expect(redis.validate?.(parse(text))).toEqual(problems)
  })

  test('with a file of certificates that is not there is refused before any connection', async () => {
    const url = parse('rediss://localhost?caFile=/no/such/file.pem')
    await expect(redis.open(url, { service: 's', clock: systemClock })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('ENOENT'),
    })
  })

  test('its example is a good one', () => {
    expect(redis.validate?.(parse(redis.example))).toEqual([])
  })
})

describe('the server', () => {
  test('says that it is Redis and its version', async () => {
    const { url } = await place()
    const driver = await redis.open(parse(url), { service: 's', clock: systemClock })
    opened.push(driver)
    const identity = await driver.identify({ signal: AbortSignal.timeout(5_000) })
    expect(identity).toEqual({ engine: 'redis', version: expect.stringMatching(/^7\.0\.\d+$/) })
  })

  test.each([
    ['# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n', { engine: 'redis', version: '7.0.15' }],
    [
      'server_name:valkey\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\n',
      { engine: 'valkey', version: '8.0.1' },
    ],
    ['server_name:redis\nredis_version:8.2.0\n', { engine: 'redis', version: '8.2.0' }],
  ])('of %j is known by INFO', (info, identity) => {
    expect(parseIdentity(info)).toEqual(identity)
  })

  test('that hides its version is unsupported', () => {
    expect(() => parseIdentity('# Server\r\n')).toThrow(expect.objectContaining({ code: 'unsupported' }))
  })
})

describe('what other programs see', () => {
  test('is plain strings under the very key', async () => {
    const { url, client } = await place()
    const { port } = await openOn(url)
    await port.set('text', 'größe', { ttlMs: 60_000 })
    await port.increment('counter', 7)
    expect(await client.get('text')).toBe('größe')
    expect(await client.get('counter')).toBe('7')
    expect(await client.pttl('text')).toBeGreaterThan(50_000)
    await client.set('theirs', 'v')
    expect(await port.getText('theirs')).toBe('v')
  })

  test('is a prefix before every key, and foreign keys stay unseen', async () => {
    const { url, client } = await place()
    const { port } = await openOn(`${url}?keyPrefix=app[1]*%3A`)
    await client.mset('app1x:k', 'foreign', 'app[1]', 'foreign', 'other', 'foreign')
    await port.setMany([
      ['k', 'mine'],
      ['n', '1'],
    ])
    await port.increment('n')
    await port.set('k', 'changed', { ifEquals: 'mine' })
    expect(await client.mget('app[1]*:k', 'app[1]*:n')).toEqual(['changed', '2'])
    const keys: string[] = []
    for await (const key of port.scan('')) keys.push(key)
    expect(keys.sort()).toEqual(['k', 'n'])
  })

  test('that this port cannot name, or that is no plain value, no scan gives', async () => {
    const { url, client } = await place()
    const { port } = await openOn(url)
    await client.set(Buffer.from([0xff, 0xfe]), 'v')
    await client.set('with\0nul', 'v')
    await client.set('x'.repeat(1_025), 'v')
    await client.set('', 'v')
    await client.rpush('list', 'v')
    await client.set('x'.repeat(1_024), 'v')
    const keys: string[] = []
    for await (const key of port.scan('')) keys.push(key)
    expect(keys).toEqual(['x'.repeat(1_024)])
    expect(await port.getText('x'.repeat(1_024))).toBe('v')
  })

  test('a script that the server forgot is sent again', async () => {
    const { url, client } = await place()
    const { port } = await openOn(url)
    expect(await port.increment('n')).toBe(1)
    await client.script('FLUSH')
    expect(await port.increment('n')).toBe(2)
  })
})

test('escapeGlob leaves no character of a pattern its meaning', () => {
  expect(escapeGlob('a*b?[c]^-\\d')).toBe('a\\*b\\?\\[c\\]\\^\\-\\\\d')
})

describe('on a client that the app already has', () => {
  test('works, and leaves the client open and without its listeners', async () => {
    const { url } = await place()
    const client = new Redis(url, { maxRetriesPerRequest: 0, lazyConnect: true })
    opened.push({ close: async () => client.disconnect() })
    const guarded = guard(KeyValueStore, redisKeyValueStore(client, { keyPrefix: 'app:' }))
    await guarded.port.set('k', 'v')
    expect(guarded.native).toBe(client)
    await guarded.close()
    expect(await client.get('app:k')).toBe('v')
    expect(
      ['error', 'close', 'ready', 'end', 'node error'].map((event) => client.listenerCount(event)),
    ).toEqual([0, 0, 0, 0, 0])
  })

  test('that would repeat lost commands by itself is refused', () => {
    const clients = [
      new Redis({ lazyConnect: true }),
      new Redis({ lazyConnect: true, maxRetriesPerRequest: null }),
      new Cluster([{ host: '127.0.0.1' }], { lazyConnect: true }),
      new Cluster([{ host: '127.0.0.1' }], {
        lazyConnect: true,
        retryDelayOnFailover: 0,
        clusterNodeRetryStrategy: () => 100,
      }),
    ]
    for (const client of clients) {
      expect(() => redisKeyValueStore(client)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
    }
  })

  test('with a keyPrefix of ioredis is refused, since a scan would not see it', () => {
    const client = new Redis({ lazyConnect: true, maxRetriesPerRequest: 0, keyPrefix: 'app:' })
    expect(() => redisKeyValueStore(client)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })
})

describe('a server that does not answer', () => {
  let server: OwnServer
  let admin: Redis
  beforeAll(async () => {
    server = await startServer('redis', { durable: false })
    admin = new Redis(server.adminUrl())
  })
  afterAll(async () => {
    admin.disconnect()
    await server.dispose()
  })

  async function paused(ms: number): Promise<KeyValueStore> {
    const { port } = await openOn(server.adminUrl())
    // So that the server knows the script, and the one command that is sent is the increment itself.
    await port.increment('warm')
    await admin.call('CLIENT', 'PAUSE', String(ms), 'ALL')
    return port
  }

  test('is a timeout, of unknown outcome for a write that was sent and of none for a read', async () => {
    const port = await paused(400)
    const calls = [
      port.increment('late', 1, { timeoutMs: 50 }),
      port.set('late set', 'v', { timeoutMs: 50 }),
      port.get('late', { timeoutMs: 50 }),
      port.delete('late delete', { ifEquals: 'x', timeoutMs: 50 }),
    ]
    const errors = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)))
    expect(errors).toMatchObject([
      { code: 'timeout', outcome: 'unknown' },
      { code: 'timeout', outcome: 'unknown' },
      { code: 'timeout', outcome: 'not-applied' },
      { code: 'timeout', outcome: 'unknown' },
    ])
    // It was on its way, and a command cannot be called back.
    await expect.poll(() => port.getText('late')).toBe('1')
  })

  test('lets a caller cancel at once, and tells of each key of many', async () => {
    const port = await paused(400)
    const controller = new AbortController()
    const setting = port.setMany(
      Array.from({ length: 2_500 }, (_, index) => [`many:${index}`, 'v'] as const),
      { signal: controller.signal },
    )
    const incrementing = port.increment('n', 1, { signal: controller.signal })
    const reason = incrementing.catch((error: unknown) => error)
    await new Promise((next) => setTimeout(next, 30))
    controller.abort()
    expect(await reason).toMatchObject({ code: 'cancelled', outcome: 'unknown' })
    const { items, ok } = await setting
    expect(ok).toBe(false)
    const outcomes = items.map(({ error }) => error?.outcome)
    expect(outcomes.filter((outcome) => outcome === 'unknown')).toHaveLength(1_000)
    expect(outcomes.filter((outcome) => outcome === 'not-applied')).toHaveLength(1_500)
    expect(items[0]?.error).toMatchObject({ code: 'cancelled', service: 'sessions', operation: 'setMany' })
    await expect.poll(() => port.getText('many:999')).toBe('v')
    expect(await port.get('many:1000')).toBeUndefined()
  })

  test('is given up for dead after silenceTimeoutMs, and the client connects anew', async () => {
    const { port } = await openOn(`${server.adminUrl()}?silenceTimeoutMs=100`)
    await port.get('k')
    await admin.call('CLIENT', 'PAUSE', '300', 'ALL')
    const lost = port.increment('silent')
    await expect(lost).rejects.toMatchObject({ code: 'unavailable', outcome: 'unknown' })
    await expect
      .poll(
        () =>
          port.get('k').then(
            () => 'up',
            () => 'down',
          ),
        { timeout: 5_000 },
      )
      .toBe('up')
  })
})

describe('a peer that cuts the connection', () => {
  let peer: Server
  const sockets = new Set<Socket>()
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((closed) => peer.close(closed))
  })

  /** Speaks just enough to get a client ready; then hangs up on the first command of another kind. */
  async function peerThat(onCommand: (text: string, socket: Socket) => void): Promise<string> {
    peer = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('data', (data) => {
        for (const command of data.toString('latin1').split(/(?=\*\d+\r\n)/)) {
          if (/\r\nhello\r\n/i.test(command)) socket.write('-ERR unknown command `HELLO`\r\n')
          else if (/\r\nclient\r\n/i.test(command)) socket.write('+OK\r\n')
          else if (/\r\ninfo\r\n/i.test(command)) socket.write('$9\r\nloading:0\r\n')
          else onCommand(command, socket)
        }
      })
    })
    await new Promise<void>((listening) => peer.listen(0, '127.0.0.1', listening))
    return `redis://127.0.0.1:${(peer.address() as { port: number }).port}`
  }

  test('after a command was sent leaves a write unknown, and never sends it again', async () => {
    const seen: string[] = []
    const { port } = await openOn(
      await peerThat((text, socket) => {
        seen.push(/\r\n(evalsha|eval|set|get)\r\n/i.exec(text)?.[1] ?? text)
        socket.destroy()
      }),
    )
    await expect(port.increment('n')).rejects.toMatchObject({ code: 'unavailable', outcome: 'unknown' })
    await new Promise((next) => setTimeout(next, 200))
    expect(seen).toEqual(['evalsha'])
    await expect(port.set('k', 'v')).rejects.toMatchObject({ code: 'unavailable', outcome: 'unknown' })
    await new Promise((next) => setTimeout(next, 200))
    expect(seen).toEqual(['evalsha', 'set'])
  })

  test('before it is ready is unavailable and not applied', async () => {
    peer = createServer((socket) => socket.destroy())
    await new Promise<void>((listening) => peer.listen(0, '127.0.0.1', listening))
    const { port } = await openOn(`redis://127.0.0.1:${(peer.address() as { port: number }).port}`)
    await expect(port.increment('n')).rejects.toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
  })

  test('and never greets is a timeout or unavailable, and not applied', async () => {
    peer = createServer((socket) => void sockets.add(socket))
    await new Promise<void>((listening) => peer.listen(0, '127.0.0.1', listening))
    const { port } = await openOn(`redis://127.0.0.1:${(peer.address() as { port: number }).port}`)
    const error = await port.increment('n', 1, { timeoutMs: 100 }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'timeout', outcome: 'not-applied' })
  })
})

describe('closing leaves nothing that keeps a program alive', () => {
  const program = fileURLToPath(new URL('./fixtures/open-and-close.ts', import.meta.url))

  test.each(['used', 'unused', 'unreachable', 'reconnecting'])('%s', async (how) => {
    const { url } = await place()
    const child = spawn(process.execPath, [
      program,
      how === 'used' || how === 'unused' ? url : 'redis://127.0.0.1:1',
      how,
    ])
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.stderr.on('data', (data) => {
      output += data
    })
    const code = await new Promise((exited) => child.once('exit', exited))
    expect({ code, output }).toEqual({ code: 0, output: 'closed, no handle left\n' })
  })
})
