import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type OwnRedisCluster, startRedisCluster } from '../../contract-tests/servers.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { redis } from './index.ts'

let cluster: OwnRedisCluster
let guarded: Guarded<KeyValueStore>
let store: KeyValueStore

beforeAll(async () => {
  cluster = await startRedisCluster()
  const parsed = ServiceUrl.parse(`${cluster.urls[0]}?cluster=true`, redis.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await redis.open(parsed.url, { service: 'sessions', clock: systemClock })
  guarded = guard(KeyValueStore, driver, { service: 'sessions' })
  store = guarded.port
})
afterEach(async () => {
  for await (const key of store.scan('')) await store.delete(key)
})
afterAll(async () => {
  await guarded.close()
  await cluster.dispose()
})

const keys = Array.from({ length: 600 }, (_, index) => `k${index}`)

async function keysOnNode(url: string): Promise<string[]> {
  const node = new Redis(url)
  try {
    return await node.keys('*')
  } finally {
    node.disconnect()
  }
}

test('spreads keys over all primaries and finds them again', async () => {
  await store.setMany(keys.map((key) => [key, key] as const))
  const spread = await Promise.all(cluster.urls.map(keysOnNode))
  expect(spread.every((some) => some.length > 0)).toBe(true)
  expect(spread.flat().sort()).toEqual([...keys].sort())
  const scanned: string[] = []
  for await (const key of store.scan('')) scanned.push(key)
  expect(scanned.sort()).toEqual([...keys].sort())
})

test('follows a slot that moves', async () => {
  const key = '{moving}k'
  await store.set(key, 'before')
  const admin = cluster.urls.map((url) => new Redis(url))
  try {
    const slot = Number(await admin[0]?.cluster('KEYSLOT', key))
    const ids = await Promise.all(admin.map((node) => node.cluster('MYID') as Promise<string>))
    const from = Math.floor(slot / Math.ceil(16_384 / 3))
    const to = (from + 1) % 3
    const target = new URL(cluster.urls[to] ?? '')
    await admin[to]?.cluster('SETSLOT', slot, 'IMPORTING', ids[from] ?? '')
    await admin[from]?.cluster('SETSLOT', slot, 'MIGRATING', ids[to] ?? '')
    // In the midst of it: what is absent at the old node is asked for at the new one.
    await store.set('{moving}new', 'meanwhile')
    expect(await store.getText(key)).toBe('before')
    await admin[from]?.call(
      'MIGRATE',
      '127.0.0.1',
      target.port,
      '',
      '0',
      '5000',
      'AUTH',
      target.password,
      'KEYS',
      key,
    )
    expect(await store.getText(key)).toBe('before')
    for (const node of admin) await node.cluster('SETSLOT', slot, 'NODE', ids[to] ?? '')
    expect(await store.getText(key)).toBe('before')
    expect(await store.getText('{moving}new')).toBe('meanwhile')
    expect(await store.increment('{moving}n')).toBe(1)
  } finally {
    for (const node of admin) node.disconnect()
  }
})

test('with one primary dead tells of its keys alone, scans nothing by halves, and recovers', async () => {
  await store.setMany(keys.map((key) => [key, key] as const))
  const [, , last] = cluster.nodes
  const held = new Set(await keysOnNode(cluster.urls[2] ?? ''))
  await last?.kill()
  try {
    const { items, ok } = await store.setMany(keys.map((key) => [key, 'new'] as const))
    expect(ok).toBe(false)
    const failed = items.filter(({ error }) => error !== undefined)
    expect(failed.map(({ key }) => key).sort()).toEqual([...held].sort())
    expect(failed.every(({ error }) => error?.code === 'unavailable')).toBe(true)
    await expect(guarded.ping({ timeoutMs: 5_000 })).rejects.toMatchObject({ code: 'unavailable' })
    const scanning = (async () => {
      for await (const _ of store.scan(''));
    })()
    await expect(scanning).rejects.toMatchObject({ code: 'unavailable' })
  } finally {
    await last?.restart()
    const up = (): Promise<string> =>
      store.getMany(keys).then(
        () => 'up',
        (error: unknown) => (PortError.is(error) ? error.code : 'none'),
      )
    await expect.poll(up, { timeout: 20_000, interval: 100 }).toBe('up')
  }
})

test('says which version its nodes run', async () => {
  const parsed = ServiceUrl.parse(`${cluster.urls[1]}?cluster=true`, redis.parameters)
  if (!('url' in parsed)) throw new Error('bad URL')
  const driver = await redis.open(parsed.url, { service: 'sessions', clock: systemClock })
  const identity = await driver.identify({ signal: AbortSignal.timeout(5_000) })
  await driver.close()
  expect(identity).toEqual({ engine: 'redis', version: expect.stringMatching(/^7\.0\./) })
})
