import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { getContainerRuntimeClient } from 'testcontainers'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { contained as postgres } from '../adapters/postgres/server.ts'
import { contained as redis, server as redisAnywhere } from '../adapters/redis/server.ts'
import type { DatastoreServer, KeptServer, RunningServer, StartOptions } from '../src/adapter.ts'
import { type ContainerRecipe, containerServer } from '../src/servers/docker.ts'
import { discardContainer } from '../src/servers/docker-engine.ts'
import { resetServers, serversIn, stopServers } from '../src/servers/kept.ts'
import { containerFolder, startContainer, whereContainersRun } from './real-docker/containers.ts'
import { query, withRedis } from './servers/clients.setup.ts'

/** What the engine has of a folder's server, by the label that names the folder. */
async function leftOf(directory: string): Promise<{
  readonly containers: { readonly id: string; readonly running: boolean }[]
  readonly volumes: string[]
}> {
  const { dockerode } = (await getContainerRuntimeClient()).container
  const label = [`portside.directory=${directory}`]
  const containers = await dockerode.listContainers({ all: true, filters: { label } })
  const { Volumes } = await dockerode.listVolumes({ filters: JSON.stringify({ label }) })
  return {
    containers: containers.map(({ Id, State }) => ({ id: Id, running: State === 'running' })),
    volumes: (Volumes ?? []).map(({ Name }) => Name),
  }
}

async function inspect(directory: string): Promise<string> {
  const [only] = (await leftOf(directory)).containers
  const { dockerode } = (await getContainerRuntimeClient()).container
  const { Config, HostConfig, NetworkSettings, Mounts } = await dockerode
    .getContainer(only?.id ?? '')
    .inspect()
  return JSON.stringify({ Config, HostConfig, Ports: NetworkSettings.Ports, Mounts })
}

/** Redis as the adapter runs it, but for what a test changes. */
function redisBut(changes: Partial<ContainerRecipe>): DatastoreServer {
  const url = (port: number): string => `redis://:canary-of-redis@127.0.0.1:${port}`
  return containerServer({
    ...{ engine: 'redis', title: 'Redis', stopSignal: 'SIGTERM' },
    identify: (_, port) =>
      withRedis(url(port), async (client) => {
        const version = /^redis_version:(\S+?)\r?$/m.exec(await client.info('server'))?.[1] ?? ''
        return { engine: 'redis', version }
      }),
    provision: async (_, port) => url(port),
    adminUrl: (_, port) => url(port),
    container: {
      image: () => 'redis:7.0',
      port: 6379,
      dataFolder: () => '/data',
      setUp: ({ folder }) => ({
        command: ['/etc/own.conf'],
        files: { '/etc/own.conf': `requirepass ${folder.password('default', () => 'canary-of-redis')}\n` },
      }),
      ...changes,
    },
  })
}

function spawnOwner(engine: string, directory: string): ChildProcessByStdio<null, Readable, null> {
  const script = fileURLToPath(new URL('real-docker/owner.ts', import.meta.url))
  return spawn(process.execPath, [script, engine, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
}

await whereContainersRun(() => {
  describe('a server in a container', () => {
    test('of PostgreSQL is the pinned one, set up as the one without a container', async () => {
      await using own = await startContainer(postgres, { version: '17.10' })
      expect(own.server.identity).toEqual({ engine: 'postgresql', version: '17.10' })
      const [settings] = await query(
        await own.server.provision('orders'),
        `select current_setting('server_encoding') as encoding, current_setting('TimeZone') as zone,
          current_setting('data_checksums') as checksums, 'a' < 'B' as alphabetical, upper('é') as upper,
          (select rolsuper from pg_roles where rolname = current_user) as super`,
      )
      expect(settings).toEqual({
        ...{ encoding: 'UTF8', zone: 'UTC', checksums: 'on' },
        ...{ alphabetical: false, upper: 'É', super: false },
      })
      const stranger = new URL(own.server.adminUrl())
      stranger.password = 'wrong'
      await expect(query(stranger.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
    })

    test('listens on the loopback address alone', async () => {
      await using own = await startContainer(redis, { version: '7.0' })
      const others = Object.values(networkInterfaces()).flatMap((all) =>
        (all ?? []).filter(({ internal, family }) => !internal && family === 'IPv4'),
      )
      for (const { address } of others) {
        const url = Object.assign(new URL(own.server.adminUrl()), { hostname: address })
        await expect(withRedis(url.href, (client) => client.ping())).rejects.toThrow()
      }
      const { Ports, HostConfig } = JSON.parse(await inspect(own.directory))
      const bound = [{ HostIp: '127.0.0.1', HostPort: String(own.server.port) }]
      expect(Ports).toEqual({ '6379/tcp': bound })
      expect(HostConfig.PublishAllPorts).toBe(false)
    })

    test.each([
      ['PostgreSQL', postgres, '17.10'],
      ['Redis', redis, '7.0'],
    ])('of %s shows its password to no one who looks at the container', async (_, recipe, version) => {
      await using own = await startContainer(recipe, { version })
      const seen = await inspect(own.directory)
      expect(new URL(own.server.adminUrl()).password).not.toBe('')
      expect(seen).not.toContain(new URL(own.server.adminUrl()).password)
    })

    test('is stopped in good order and found again by the next run: container, port and data', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      const first = await redis.start({ version: '7.0', directory })
      const url = await first.provision('sessions')
      await withRedis(url, (client) => client.set('key', 'value'))
      await first.stop()
      await first.stop()
      const before = await leftOf(directory)
      expect(before.containers).toMatchObject([{ running: false }])
      const second = await redis.start({ version: '7.0', directory })
      expect(await second.provision('sessions')).toBe(url)
      expect(await withRedis(url, (client) => client.get('key'))).toBe('value')
      expect((await leftOf(directory)).containers).toMatchObject([{ id: before.containers[0]?.id }])
      await second.stop()
    })

    test('that is killed and restarted keeps every acknowledged write', async () => {
      await using own = await startContainer(redis, { version: '7.0', durable: true })
      const { server } = own
      const url = await server.provision('sessions')
      let acknowledged = 0
      const writing = withRedis(url, async (client) => {
        for (;;) {
          await client.set(`key ${acknowledged}`, 'value')
          acknowledged += 1
        }
      }).catch(() => {})
      await expect.poll(() => acknowledged, { timeout: 30_000 }).toBeGreaterThan(50)
      await server.kill()
      await writing
      await server.restart()
      const size = await withRedis(url, (client) => client.dbsize())
      expect(size).toBeGreaterThanOrEqual(acknowledged)
      expect(size).toBeLessThanOrEqual(acknowledged + 1)
    })

    test('that was stopped provisions nothing until it is restarted', async () => {
      await using own = await startContainer(redis, { version: '7.0' })
      await own.server.stop()
      await expect(own.server.provision('sessions')).rejects.toMatchObject({ code: 'closed' })
      await own.server.restart()
      expect(await withRedis(await own.server.provision('sessions'), (client) => client.ping())).toBe('PONG')
    })

    test('with other settings is another container on the same data', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      const first = await postgres.start({ version: '17.10', directory, durable: false })
      await query(await first.provision('orders'), 'create table kept (id int)')
      await first.stop()
      const before = await leftOf(directory)
      const second = await postgres.start({ version: '17.10', directory, durable: true })
      const url = await second.provision('orders')
      expect(await query(url, "select current_setting('fsync') as fsync")).toEqual([{ fsync: 'on' }])
      await query(url, 'select id from kept')
      await second.stop()
      const after = await leftOf(directory)
      expect(after.volumes).toEqual(before.volumes)
      expect(after.containers).toHaveLength(1)
      expect(after.containers[0]?.id).not.toBe(before.containers[0]?.id)
    })

    test('whose port was taken in the meantime gets another, and has its data', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      const first = await redis.start({ version: '7.0', directory })
      await withRedis(await first.provision('sessions'), (client) => client.set('key', 'value'))
      await first.stop()
      const other = createServer().listen(first.port, '127.0.0.1')
      await once(other, 'listening')
      try {
        await expect(redis.start({ version: '7.0', directory, port: first.port })).rejects.toMatchObject({
          code: 'conflict',
          message: expect.stringContaining(String(first.port)),
        })
        const second = await redis.start({ version: '7.0', directory })
        expect(second.port).not.toBe(first.port)
        const url = await second.provision('sessions')
        expect(await withRedis(url, (client) => client.get('key'))).toBe('value')
        await second.stop()
      } finally {
        other.close()
      }
    })
  })

  describe('a process that owns one', () => {
    async function startOwner(directory: string): Promise<{ owner: ChildProcess; url: string }> {
      const owner = spawnOwner('redis', directory)
      const [line] = await once(owner.stdout, 'data')
      return { owner, url: String(line).trim() }
    }

    test('and is killed leaves a stopped container, which the next one uses with its data', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      const { owner, url } = await startOwner(directory)
      await withRedis(url, (client) => client.set('key', 'value'))
      const before = await leftOf(directory)
      expect(before.containers).toMatchObject([{ running: true }])
      owner.kill('SIGKILL')
      await once(owner, 'exit')
      await expect
        .poll(() => leftOf(directory), { timeout: 30_000 })
        .toMatchObject({ containers: [{ running: false }] })
      const next = await redis.start({ version: '7.0', directory })
      expect(await next.provision('orders')).toBe(url)
      expect(await withRedis(url, (client) => client.get('key'))).toBe('value')
      expect((await leftOf(directory)).containers[0]?.id).toBe(before.containers[0]?.id)
      await next.stop()
    })

    test('keeps others off its folder', async () => {
      await using folder = await containerFolder()
      const { owner, url } = await startOwner(folder.directory)
      const late = redis.start({ version: '7.0', directory: folder.directory })
      await expect(late).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`process ${owner.pid} runs Redis`),
      })
      expect(await withRedis(url, (client) => client.ping())).toBe('PONG')
      owner.kill('SIGKILL')
      await once(owner, 'exit')
    })
  })

  describe('one that is kept', () => {
    const version = '7.0'
    const keep = async (directory: string, options: Partial<StartOptions> = {}): Promise<KeptServer> => {
      if (redisAnywhere.keep === undefined) throw new Error('Redis cannot be kept')
      return redisAnywhere.keep({ version, directory, ...options })
    }
    // All but these tests runs without containers where both would do.
    beforeEach(() => void vi.stubEnv('PORTSIDE_SERVERS', 'docker'))
    afterEach(() => void vi.unstubAllEnvs())

    test('is used again by whoever asks, is stopped by its folder, and keeps its data', async () => {
      await using folder = await containerFolder()
      const directory = join(folder.directory, 'redis-7')
      const first = await keep(directory)
      expect(first.reused).toBe(false)
      const url = await first.provision('sessions')
      await withRedis(url, (client) => client.set('key', 'value'))
      const second = await keep(directory)
      expect(second).toMatchObject({ reused: true, port: first.port, identity: first.identity })
      expect(await serversIn(folder.directory)).toMatchObject([
        { name: 'redis-7', state: 'running', port: first.port, from: 'a container engine' },
      ])
      await expect(redisAnywhere.start({ version, directory })).rejects.toMatchObject({ code: 'conflict' })
      expect(await stopServers(folder.directory)).toEqual(['redis-7'])
      expect(await serversIn(folder.directory)).toMatchObject([{ state: 'stopped' }])
      expect((await leftOf(directory)).containers).toMatchObject([{ running: false }])
      const third = await keep(directory)
      expect(third.reused).toBe(false)
      expect(await withRedis(await third.provision('sessions'), (client) => client.get('key'))).toBe('value')
      expect(await resetServers(folder.directory, [])).toEqual(['redis-7'])
      expect(await leftOf(directory)).toEqual({ containers: [], volumes: [] })
    })

    test('is refused where its settings changed, unless that is accepted; the data stays', async () => {
      await using folder = await containerFolder()
      const directory = join(folder.directory, 'redis-7')
      const first = await keep(directory)
      await withRedis(await first.provision('sessions'), (client) => client.set('key', 'value'))
      const changed = { durable: false } as const
      await expect(keep(directory, changed)).rejects.toMatchObject({
        code: 'precondition-failed',
        message: expect.stringMatching(/every write was kept, and is to be kept no more.*portside reset/s),
      })
      const second = await keep(directory, { ...changed, changed: 'accept' })
      const url = await second.provision('sessions')
      expect(await withRedis(url, (client) => client.config('GET', 'appendonly'))).toEqual([
        'appendonly',
        'no',
      ])
      await resetServers(folder.directory, [])
    })

    test('is not silently replaced by an empty server where no container is to be used', async () => {
      await using folder = await containerFolder()
      const directory = join(folder.directory, 'redis-7')
      await (await keep(directory)).stop()
      vi.stubEnv('PORTSIDE_SERVERS', 'local')
      const withoutContainer = [keep(directory), redisAnywhere.start({ version, directory })]
      for (const attempt of withoutContainer) {
        await expect(attempt).rejects.toMatchObject({
          code: 'precondition-failed',
          message: expect.stringMatching(/in a volume of a container engine.*PORTSIDE_SERVERS=local/s),
        })
      }
      await resetServers(folder.directory, [])
    })
  })

  describe('a start', () => {
    test('that is cancelled at any moment leaves no container, and the next one succeeds', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      for (const afterMs of [0, 50, 200, 500, 1000]) {
        const options = { version: '17.10', directory, durable: false }
        const started = postgres.start({ ...options, signal: AbortSignal.timeout(afterMs) })
        const outcome = await started.then(
          (server: RunningServer) => server.stop(),
          (error: unknown) => error,
        )
        // A machine that is quick enough was not cancelled.
        if (outcome === undefined) continue
        expect((await leftOf(directory)).containers).toEqual([])
      }
      const server = await postgres.start({ version: '17.10', directory, durable: false })
      expect(await query(await server.provision('orders'), 'select 1 as one')).toEqual([{ one: 1 }])
      await server.stop()
    })

    test('after one that was killed while the image made its data begins afresh', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      const owner = spawnOwner('postgres', directory)
      const isUnderWay = async (): Promise<boolean> =>
        (await leftOf(directory)).containers.some(({ running }) => running)
      await expect.poll(isUnderWay, { interval: 20, timeout: 30_000 }).toBe(true)
      owner.kill('SIGKILL')
      await once(owner, 'exit')
      expect(existsSync(join(directory, 'container.unfinished'))).toBe(true)
      const { volumes } = await leftOf(directory)
      const server = await postgres.start({ version: '17.10', directory })
      const url = await server.provision('orders')
      await query(url, 'create table kept (id int)')
      expect(existsSync(join(directory, 'container.unfinished'))).toBe(false)
      await server.kill()
      await server.stop()
      // Once it was ready there is something to lose.
      const again = await postgres.start({ version: '17.10', directory })
      expect(await query(url, 'select id from kept')).toEqual([])
      expect((await leftOf(directory)).volumes).toEqual(volumes)
      await again.stop()
    })

    test('on data of another major version is refused; the data is not touched', async () => {
      await using folder = await containerFolder()
      const { directory } = folder
      const first = await redisBut({}).start({ version: '7.0', directory })
      await withRedis(first.adminUrl(), async (client) => {
        await client.set('key', 'value')
        await client.save()
      })
      await first.stop()
      const other = redisBut({}).start({ version: '8.0', directory })
      await expect(other).rejects.toMatchObject({
        code: 'precondition-failed',
        message: expect.stringMatching(/data of redis 7.*8\.0 is pinned.*nothing was touched/s),
      })
      const again = await redisBut({}).start({ version: '7.0', directory })
      expect(await withRedis(again.adminUrl(), (client) => client.get('key'))).toBe('value')
      await again.stop()
    })

    test('of an image that holds another version than its tag says is refused', async () => {
      await using folder = await containerFolder()
      await expect(redisBut({}).start({ version: '7.9', directory: folder.directory })).rejects.toMatchObject(
        {
          code: 'unsupported',
          message: expect.stringMatching(/Redis 7\.9 is pinned.*redis:7\.0 holds redis 7\.0\.\d+/),
        },
      )
      expect((await leftOf(folder.directory)).containers).toEqual([])
    })

    test('of an image that cannot be had says why, and makes nothing', async () => {
      await using folder = await containerFolder()
      const directory = join(folder.directory, 'redis')
      const image = 'localhost:1/no-such-image:7.0'
      await expect(
        redisBut({ image: () => image }).start({ version: '7.0', directory }),
      ).rejects.toMatchObject({
        code: 'unsupported',
        message: expect.stringMatching(/the image localhost:1\/no-such-image:7\.0 .*cannot be pulled: .+/),
      })
      expect(await leftOf(directory)).toEqual({ containers: [], volumes: [] })
    })

    test('of a version that no image has says which there are', async () => {
      await using folder = await containerFolder()
      const directory = join(folder.directory, 'redis')
      // Has it there, pulled where need be.
      await (await redis.start({ version: '7.0', directory, durable: false })).stop()
      const other = join(folder.directory, 'other')
      const error = await redis.start({ version: '0.9', directory: other }).catch(String)
      expect(error).toMatch(/Redis 0\.9 is pinned and cannot be had here.*redis:0\.9 .*cannot be pulled/s)
      expect(error).toMatch(/; there is .*\bredis:7\.0\b/)
      await discardContainer(directory)
    })

    test.each([
      ['while it starts', ['/etc/own.conf']],
      ['at once', ['cat', '/etc/own.conf']],
    ])('of a server that ends %s shows its log, without a password', async (_, command) => {
      await using folder = await containerFolder()
      const broken = redisBut({
        setUp: ({ folder: place }) => ({
          command,
          files: {
            '/etc/own.conf': `no-such-setting ${place.password('default', () => 'canary-of-redis')}\n`,
          },
        }),
      })
      const error = await broken
        .start({ version: '7.0', directory: folder.directory })
        .catch((reason: unknown) => reason)
      expect(error).toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(/Redis ended while it was starting.*no-such-setting/s),
      })
      expect(String(error)).not.toContain('canary-of-redis')
      expect((await leftOf(folder.directory)).containers).toEqual([])
    })

    test('beside the data of a server that ran without a container is refused', async () => {
      await using folder = await containerFolder()
      mkdirSync(join(folder.directory, 'data'))
      writeFileSync(join(folder.directory, 'data', 'dump.rdb'), 'data')
      await expect(redis.start({ version: '7.0', directory: folder.directory })).rejects.toMatchObject({
        code: 'precondition-failed',
      })
    })

    test('clears away what throw-away servers left whose folder is gone, and nothing that was durable', async () => {
      await using folder = await containerFolder()
      const [gone, kept] = [join(folder.directory, 'gone'), join(folder.directory, 'kept')]
      const servers = [
        await redis.start({ version: '7.0', directory: gone, durable: false }),
        await redis.start({ version: '7.0', directory: kept, durable: true }),
      ]
      for (const server of servers) await server.stop()
      const names = readFileSync(join(kept, 'container.json'))
      for (const directory of [gone, kept]) rmSync(directory, { recursive: true, maxRetries: 5 })
      const next = await redis.start({ version: '7.0', directory: gone, durable: false })
      await next.stop()
      expect((await leftOf(gone)).containers).toHaveLength(1)
      expect((await leftOf(gone)).volumes).toHaveLength(1)
      expect((await leftOf(kept)).containers).toHaveLength(1)
      mkdirSync(kept)
      writeFileSync(join(kept, 'container.json'), names)
      for (const directory of [gone, kept]) {
        await discardContainer(directory)
        expect(await leftOf(directory)).toEqual({ containers: [], volumes: [] })
      }
    })
  })
})
