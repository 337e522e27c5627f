import { Cluster, Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { query } from './servers/clients.setup.ts'
import { freshPostgres, freshRedis, startRedisCluster, startServer } from './servers.ts'

describe('a fresh database', () => {
  test('belongs to a role without further rights, and is gone after drop', async () => {
    const place = await freshPostgres()
    const other = await freshPostgres()
    const rights = await query(
      place.url,
      'select rolsuper, rolcreatedb, rolcreaterole, current_database() = current_user as own from pg_roles where rolname = current_user',
    )
    expect(rights).toEqual([{ rolsuper: false, rolcreatedb: false, rolcreaterole: false, own: true }])
    await query(place.url, 'create table kept (id int)')
    const crossing = new URL(place.url)
    crossing.pathname = new URL(other.url).pathname
    await expect(query(crossing.href, 'select 1')).rejects.toThrow(/permission denied/)
    await place.drop()
    await place.drop()
    await expect(query(place.url, 'select 1')).rejects.toThrow()
    await other.drop()
  })
})

describe('a fresh keyspace', () => {
  test('is empty, is no one else’s, and is empty again after drop', async () => {
    const [place, other] = await Promise.all([freshRedis(), freshRedis()])
    expect(place.url).not.toBe(other.url)
    const [one, two] = [new Redis(place.url), new Redis(other.url)]
    try {
      await one.set('key', 'value')
      expect(await two.dbsize()).toBe(0)
      await place.drop()
      expect(await one.dbsize()).toBe(0)
    } finally {
      one.disconnect()
      two.disconnect()
    }
    await other.drop()
  })
})

describe('a server of one’s own', () => {
  test('is real, of the pinned version, and alone in its folder', async () => {
    await using server = await startServer('redis')
    expect(server.identity).toEqual({ engine: 'redis', version: expect.stringMatching(/^7\.0\./) })
    const client = new Redis(await server.provision('sessions'))
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
  })
})

describe('a Redis Cluster of one’s own', () => {
  test('has three primaries and every slot, and a node that was killed comes back', async () => {
    await using cluster = await startRedisCluster()
    expect(cluster.urls).toHaveLength(3)
    const { port, password } = new URL(cluster.urls[0] as string)
    const client = new Cluster([{ host: '127.0.0.1', port: Number(port) }], { redisOptions: { password } })
    try {
      const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`)
      for (const key of keys) await client.set(key, key)
      const sizes = await Promise.all(client.nodes('master').map((node) => node.dbsize()))
      expect(sizes).toHaveLength(3)
      expect(sizes.every((size) => size > 0)).toBe(true)
      await cluster.nodes[1]?.kill()
      await cluster.nodes[1]?.restart()
      await expect
        .poll(() => Promise.all(keys.map((key) => client.get(key))).catch(() => []), { timeout: 20_000 })
        .toEqual(keys)
    } finally {
      client.disconnect()
    }
  })
})
