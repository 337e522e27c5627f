/** What the fingerprint of a real server tells, and that it tells of each change. */
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

test('of a cluster is that of all its primaries, and tells where they differ', async () => {
  await using cluster = await startRedisCluster()
  const [first = ''] = cluster.urls
  const node = new Redis(first)
  await node.config('SET', 'maxmemory-policy', 'allkeys-lru')
  node.disconnect()
  const found = valuesOf(await fingerprintOf(`${first}?cluster=true`))
  expect(found).toMatchObject({
    cluster: '1',
    'cluster.primaries': '3',
    'eviction.policy': 'allkeys-lru | noeviction',
  })
})
