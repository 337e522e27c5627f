/**
 * Starts one real PostgreSQL and one real Redis for the whole test run. In a test, from `./servers.ts`:
 *
 *     const place = await freshPostgres()          // or freshRedis(): { url, drop() }, empty, used by no one else
 *     await using server = await startServer('redis', { durable: true })   // one's own, to kill and restart
 *     await using cluster = await startRedisCluster()                      // three primaries; cluster.urls
 *
 * `inject('postgresUrl')` is the superuser's, for what those do not cover. Both servers stop with the run, however
 * it ends.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { server as postgres } from '../adapters/postgres/server.ts'
import { server as redis } from '../adapters/redis/server.ts'
import type { RunningServer } from '../src/adapter.ts'
import { guardFolder } from '../src/servers/guardian.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The superuser's URL of the shared PostgreSQL. */
    postgresUrl: string
    /** The shared Redis; keyspace 0 belongs to `freshRedis`. */
    redisUrl: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'portside-test-'))
  // Where the run is cut short, teardown does not happen.
  const folderGuardian = guardFolder(folder)
  // All temporary folders of the tests go into it, so that a run that is cut short leaves none of them either. Open
  // to others, because as root PostgreSQL runs as another account.
  await chmod(folder, 0o755)
  process.env.TMPDIR = folder
  // Tests of servers look at their processes and files; what containers do is held by the tests that start them.
  process.env.PORTSIDE_SERVERS ??= 'local'
  const onProgress = (message: string): void => void process.stderr.write(`${message}\n`)
  const started: RunningServer[] = []
  const teardown = async (): Promise<void> => {
    await Promise.allSettled(started.map((server) => server.stop()))
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    folderGuardian.dismiss()
  }
  try {
    const options = { durable: false, onProgress }
    const starts = [
      postgres.start({ ...options, version: '17.10', directory: join(folder, 'postgresql') }),
      redis.start({ ...options, version: '7.0', directory: join(folder, 'redis') }),
    ].map(async (start) => {
      const server = await start
      started.push(server)
      return server.adminUrl()
    })
    await Promise.allSettled(starts)
    const [postgresUrl = '', redisUrl = ''] = await Promise.all(starts)
    project.provide('postgresUrl', postgresUrl)
    project.provide('redisUrl', redisUrl)
    return teardown
  } catch (error) {
    await teardown()
    throw error
  }
}
