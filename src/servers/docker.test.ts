/** What needs no engine. With one: contract-tests/containers.docker.test.ts. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type ContainedEngine, containerServer, containerSource } from './docker.ts'
import { isPortTaken, reasonOf } from './docker-engine.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-docker-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

const never = (): never => {
  throw new Error('nothing of it is asked for')
}
const contained: ContainedEngine = {
  ...{ engine: 'redis', title: 'Redis', stopSignal: 'SIGTERM' },
  ...{ identify: never, provision: never, adminUrl: never },
  container: { image: (pin) => `redis:${pin}`, port: 6379, dataFolder: () => '/data', setUp: never },
}

test('where the engine that DOCKER_HOST names does not answer, none is used: the message says where, and no password', async () => {
  vi.stubEnv('DOCKER_HOST', 'tcp://user:canary@127.0.0.1:1')
  const found = await containerSource(contained).find('7.0', {})
  expect(found).toMatch(/no container engine: none answers at tcp:\/\/127\.0\.0\.1:1/)
  expect(found).not.toContain('canary')
  const directory = join(folder, 'redis')
  await expect(containerServer(contained).start({ version: '7.0', directory })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringMatching(/Redis 7\.0 is pinned.*a container engine: no container engine/s),
  })
  expect(existsSync(directory)).toBe(false)
})

test.each([
  ['a pin', { version: 'latest' }],
  ['a port', { port: 0 }],
  ['an option', { image: 'redis' }],
])('%s that is none is refused before an engine is looked for', async (_, wrong) => {
  vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1')
  const options = { version: '7.0', directory: join(folder, 'redis'), ...wrong }
  await expect(containerServer(contained).start(options)).rejects.toMatchObject({ code: 'invalid-argument' })
})

test.each([
  [
    'Docker',
    'driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:5432 failed: port is already allocated',
  ],
  [
    'Docker, another process',
    'Error starting userland proxy: listen tcp4 127.0.0.1:5432: bind: address already in use',
  ],
  [
    'Docker Desktop',
    'Ports are not available: exposing port TCP 127.0.0.1:5432 -> 0.0.0.0:0: listen tcp 127.0.0.1:5432',
  ],
])('a port that is taken is told from other failures, as %s says it', (_, message) => {
  expect(isPortTaken(new Error(`(HTTP code 500) server error - ${message}`))).toBe(true)
  expect(isPortTaken(new Error('(HTTP code 500) server error - no space left on device'))).toBe(false)
})

test('what an engine said is told without what its client put before it', () => {
  const error = new Error('(HTTP code 404) no such container - manifest for redis:9.9 not found ')
  expect(reasonOf(error)).toBe('manifest for redis:9.9 not found')
})
