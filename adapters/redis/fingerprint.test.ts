/** What the fingerprint of a real server tells, and that it tells of each change. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type OwnServer, startRedisCluster, startServer } from '../../contract-tests/servers.ts'
import type { Fingerprint } from '../../src/adapter.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { redis } from './index.ts'

async function fingerprintOf(url: string): Promise<Fingerprint> {
  const parsed = ServiceUrl.parse(url, redis.parameters)
  if (!('url' in parsed)) throw new Error('no URL')
  const driver = await redis.open(parsed.url, { service: 'sessions', clock: systemClock })
  try {
    const found = await driver.fingerprint?.({ signal: AbortSignal.timeout(20_000) })
    if (found === undefined) throw new Error('no fingerprint')
    return found
  } finally {
    await driver.close()
  }
}

const valuesOf = ({ facts }: Fingerprint): Record<string, string> =>
  Object.fromEntries(Object.entries(facts).map(([name, { value }]) => [name, value]))

let server: OwnServer
let url: string
let admin: Redis
beforeAll(async () => {
  server = await startServer('redis', { durable: false })
  url = await server.provision('sessions')
  admin = new Redis(server.adminUrl())
})
afterAll(async () => {
  admin?.disconnect()
  await server?.dispose()
})

test('tells eviction, persistence, mode, replication and the rights of the user', async () => {
  const found = await fingerprintOf(url)
  expect(valuesOf(found)).toMatchObject({
    'eviction.policy': 'noeviction',
    'persistence.append-only': '0',
    'persistence.snapshots': '',
    mode: 'standalone',
    cluster: '0',
    'replication.role': 'master',
    'acl.user': 'default',
    'acl.commands': '+@all',
    'acl.keys': '~*',
  })
  expect(found.unknown).toEqual({})
  expect(found.facts['eviction.policy']?.severity).toBe('high')
})

test('tells of what is changed', async () => {
  const before = valuesOf(await fingerprintOf(url))
  await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
  await admin.config('SET', 'maxmemory', '104857600')
  await admin.config('SET', 'notify-keyspace-events', 'KEA')
  const after = valuesOf(await fingerprintOf(url))
  const changed = Object.keys({ ...before, ...after }).filter((name) => before[name] !== after[name])
  expect(changed.toSorted()).toEqual(['eviction.policy', 'memory.max', 'notifications'])
  expect(after['eviction.policy']).toBe('allkeys-lru')
})

test('of a user with few rights tells what it may, and names what it may not know', async () => {
  await admin.call(
    'ACL',
    'SETUSER',
    'shop',
    'on',
    '>canary-secret',
    '~shop:*',
    '+@read',
    '+@write',
    '+info',
    '+ping',
  )
  const limited = url.replace(/\/\/[^@]*@/, '//shop:canary-secret@')
  const found = await fingerprintOf(limited)
  expect(valuesOf(found)).toMatchObject({ mode: 'standalone', 'eviction.policy': expect.any(String) })
  expect(found.unknown).toMatchObject({
    module: 'the user may not ask',
    acl: 'the user may not ask',
    'persistence.fsync': 'the user may not ask',
  })
  expect(found.facts).not.toHaveProperty('persistence.fsync')
  await admin.call('ACL', 'SETUSER', 'shop', '-info', '+acl|whoami')
  const less = await fingerprintOf(limited)
  expect(valuesOf(less)).toEqual({ 'acl.user': 'shop' })
  expect(less.unknown).toMatchObject({
    'eviction.policy': 'the user may not ask',
    'acl.keys': 'the user may not ask',
  })
  await admin.call('ACL', 'SETUSER', 'shop', '+info', '+acl|getuser')
  const more = await fingerprintOf(limited)
  expect(valuesOf(more)).toMatchObject({ 'acl.user': 'shop', 'acl.keys': '~shop:*' })
  // Neither the password nor its hash, of which ACL GETUSER tells.
  expect(JSON.stringify(more)).not.toMatch(/canary-secret|[0-9a-f]{64}/)
})

test('the version is told to a user that may not ask for INFO', async () => {
  await admin.call('ACL', 'SETUSER', 'no-info', 'on', '>canary-secret', '~*', '+@all', '-info')
  const parsed = ServiceUrl.parse(url.replace(/\/\/[^@]*@/, '//no-info:canary-secret@'), redis.parameters)
  if (!('url' in parsed)) throw new Error('no URL')
  const driver = await redis.open(parsed.url, { service: 'sessions', clock: systemClock })
  try {
    const found = await driver.identify({ signal: AbortSignal.timeout(20_000) })
    expect(found).toEqual({ engine: 'redis', version: expect.stringMatching(/^7\.0\.\d+$/) })
  } finally {
    await driver.close()
  }
})

test('tells of what a user may besides, by selectors of its own', async () => {
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>canary-secret', '+@all', '~app:*', '(%R~shared:* +get)')
  const { facts } = await fingerprintOf(url.replace(/\/\/[^@]*@/, '//app:canary-secret@'))
  expect(facts['acl.selectors']?.value).toMatch(/^\(.*\+get.*%R~shared:\*.*\)$/)
})

/** A server that gives `answers` by a command's first word, and else refuses it. */
async function managed(
  answers: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).setEncoding('latin1'))
    let received = ''
    socket.on('data', (part: string) => {
      received += part
      for (;;) {
        const whole = /^\*(\d+)\r\n/.exec(received)
        const words = [...received.matchAll(/\$\d+\r\n(.*?)\r\n/g)].slice(0, Number(whole?.[1] ?? 0))
        const last = words.at(-1)
        if (whole === null || last === undefined || words.length < Number(whole[1])) return
        received = received.slice(last.index + last[0].length)
        const name = words[0]?.[1]?.toUpperCase() ?? ''
        const known = { HELLO: "-ERR unknown command 'HELLO'\r\n", ...answers }[name]
        socket.write(known ?? `-ERR Command is not available: '${name}'. See the documentation\r\n`)
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}/0`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((closed) => server.close(closed))
    },
  }
}

const info = ['redis_version:7.0.15', 'redis_mode:standalone', 'maxmemory_policy:volatile-lru', 'loading:0']
const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`

test('of a managed server that refuses to tell, in words of its own, names what is not known', async () => {
  await using server = await managed({ INFO: bulk(`${info.join('\r\n')}\r\n`) })
  const { facts, unknown } = await fingerprintOf(server.url)
  expect(facts['eviction.policy']?.value).toBe('volatile-lru')
  const why = 'the server does not answer it'
  expect(unknown).toMatchObject({ 'persistence.fsync': why, module: why, acl: why })
  const left = 'the server does not tell it'
  // What its INFO leaves out it does not tell either.
  expect(unknown).toMatchObject({
    'persistence.append-only': left,
    'replication.role': left,
    'memory.max': left,
  })
})

test('is not half a fingerprint where the server can answer at another time', async () => {
  await using server = await managed({
    INFO: bulk(`${info.join('\r\n')}\r\n`),
    CONFIG: '-LOADING Redis is loading the dataset in memory\r\n',
  })
  await expect(fingerprintOf(server.url)).rejects.toThrow(/LOADING/)
})

test('of a cluster is that of all its primaries, and tells where they differ', async () => {
  await using cluster = await startRedisCluster()
  const [first = ''] = cluster.urls
  const node = new Redis(first)
  await node.config('SET', 'maxmemory-policy', 'allkeys-lru')
  node.disconnect()
  const fingerprint = await fingerprintOf(`${first}?cluster=true`)
  const found = valuesOf(fingerprint)
  expect(fingerprint.drift).toEqual([
    {
      severity: 'high',
      what: 'eviction.policy',
      expected: 'the same on every node',
      found: 'allkeys-lru | noeviction',
    },
  ])
  expect(found).toMatchObject({
    cluster: '1',
    'cluster.primaries': '3',
    'eviction.policy': 'allkeys-lru | noeviction',
  })
})
