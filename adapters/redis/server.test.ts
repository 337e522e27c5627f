import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { withRedis } from '../../contract-tests/servers/clients.setup.ts'
import type { RunningServer, StartOptions } from '../../src/adapter.ts'
import { run } from '../../src/servers/command.ts'
import { ServerFolder } from '../../src/servers/folder.ts'
import { stopKept } from '../../src/servers/keep.ts'
import { server, valkey } from './server.ts'

let folder: string
let directory: string
const running: RunningServer[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-redis-'))
  directory = join(folder, 'a folder with spaces', 'redis')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(running.splice(0).map((each) => each.stop()))
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

async function start(options: Partial<StartOptions> = {}): Promise<RunningServer> {
  const started = await server.start({ version: '7.0', directory, ...options })
  running.push(started)
  return started
}

describe('a started Redis', () => {
  test('is the pinned one, on loopback alone, and closed to those without the password', async () => {
    const redis = await start()
    expect(redis.identity).toEqual({ engine: 'redis', version: expect.stringMatching(/^7\.0\.\d+$/) })
    const url = new URL(await redis.provision('sessions'))
    expect(await withRedis(url.href, (client) => client.config('GET', 'bind'))).toEqual(['bind', '127.0.0.1'])
    const { password } = url
    // By hand: a client that is not let in says no more than that the connection was closed.
    const stranger = connect(redis.port, '127.0.0.1').setEncoding('utf8')
    stranger.write('GET key\r\n')
    expect((await once(stranger, 'data'))[0]).toMatch(/^-NOAUTH/)
    stranger.destroy()
    expect(statSync(join(directory, 'redis.conf')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(directory, 'server.log'), 'utf8')).not.toContain(password)
    if (process.platform !== 'linux') return
    expect(readFileSync(`/proc/${redis.pid}/cmdline`, 'utf8')).not.toContain(password)
  })

  test('gives each service a keyspace of its own, the same in every run', async () => {
    const first = await start()
    const sessions = await first.provision('sessions')
    const carts = await first.provision('carts')
    expect(carts).not.toBe(sessions)
    await withRedis(sessions, (client) => client.set('key', 'value'))
    expect(await withRedis(carts, (client) => client.get('key'))).toBeNull()
    await first.stop()
    const second = await start()
    expect(await second.provision('sessions')).toBe(sessions)
    expect(await second.provision('carts')).toBe(carts)
    expect(await withRedis(sessions, (client) => client.get('key'))).toBe('value')
  })

  test('keeps every acknowledged write through SIGKILL', async () => {
    const redis = await start()
    const url = await redis.provision('sessions')
    let acknowledged = 0
    const writing = withRedis(url, async (client) => {
      for (;;) {
        await client.set(`key ${acknowledged}`, 'value')
        acknowledged += 1
      }
    }).catch(() => {})
    await expect.poll(() => acknowledged).toBeGreaterThan(50)
    await redis.kill()
    await writing
    await redis.restart()
    const size = await withRedis(url, (client) => client.dbsize())
    expect(size).toBeGreaterThanOrEqual(acknowledged)
    expect(size).toBeLessThanOrEqual(acknowledged + 1)
  })

  test('that is not durable starts empty again', async () => {
    const redis = await start({ durable: false })
    const url = await redis.provision('sessions')
    await withRedis(url, (client) => client.set('key', 'value'))
    await redis.kill()
    await redis.restart()
    expect(await withRedis(url, (client) => client.dbsize())).toBe(0)
  })

  test('that was up is no reason for a program to go on, however often it was asked in vain before', async () => {
    const script = join(folder, 'program.ts')
    writeFileSync(
      script,
      `import { setImmediate, setTimeout } from 'node:timers/promises'
       import { server } from ${JSON.stringify(new URL('./server.ts', import.meta.url).href)}
       const redis = await server.keep({ version: '7.0', directory: ${JSON.stringify(directory)} })
       // The connection that found it up takes a moment to end.
       while (process.getActiveResourcesInfo().includes('TCPSocketWrap')) await setTimeout(5)
       await setImmediate()
       process.stdout.write(JSON.stringify(process.getActiveResourcesInfo()))`,
    )
    const env = { ...process.env, PORTSIDE_SERVERS: 'local' }
    const said = await run(process.execPath, [script], { env })
    await stopKept(new ServerFolder(directory))
    expect(JSON.parse(said)).not.toContain('Timeout')
  })

  test('whose data is damaged is unavailable, with the server’s own reason', async () => {
    const redis = await start()
    await redis.stop()
    writeFileSync(join(directory, 'data', 'appendonlydir', 'appendonly.aof.manifest'), 'rubbish\n')
    await expect(start()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('AOF'),
    })
  })
})

describe('the programs', () => {
  function programs(scripts: Readonly<Record<string, string>>): void {
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    for (const [name, script] of Object.entries(scripts)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(bin, name), 0o755)
    }
    vi.stubEnv('PATH', bin)
    vi.stubEnv('PORTSIDE_CACHE', join(folder, 'cache'))
  }
  const redis = (version: string) => `echo "Redis server v=${version} sha=00000000:0 malloc=libc bits=64"`

  test('of another version are refused: what was found, what is pinned, what to do', async () => {
    programs({ 'redis-server': redis('6.2.14') })
    const error = await start().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'unsupported', details: { pinned: '7.0' } })
    expect(String(error)).toMatch(/Redis 7\.0 is pinned.*found 6\.2\.14 in .*no apt-get.*install Redis 7\.0/s)
    expect(existsSync(join(directory, 'data'))).toBe(false)
  })

  test('of Valkey under the same name are no Redis', async () => {
    programs({ 'redis-server': 'echo "Valkey server v=8.0.1 sha=0"' })
    await expect(start()).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('no Redis'),
    })
  })

  test('of Valkey that no source has: the message lists what each has, and that Redis is not it', async () => {
    programs({
      'valkey-server': 'echo "Redis server v=7.2.4 sha=0"',
      dpkg: 'exit 1',
      'apt-get': 'exit 0',
      'apt-cache': 'exit 0',
    })
    const error = await valkey.start({ version: '8.0', directory }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'unsupported', details: { pinned: '8.0' } })
    expect(String(error)).toMatch(
      /Valkey 8\.0 is pinned and cannot be had here[\s\S]*a container engine: [\s\S]*valkey-server is no Valkey[\s\S]*it has no valkey-server/,
    )
    expect(existsSync(join(directory, 'data'))).toBe(false)
  })

  test('of Valkey are found under its own name', async () => {
    programs({ 'valkey-server': 'echo "Valkey server v=8.0.1 sha=0"' })
    const { valkeyPath } = await import('./programs.ts')
    expect(await valkeyPath.find('8.0', {})).toMatchObject({ version: '8.0.1' })
    expect(await valkeyPath.find('7.2', {})).toContain('found 8.0.1')
  })

  test('that do not run here are told with what they say', async () => {
    programs({ 'redis-server': 'echo "libjemalloc.so.2 is missing"; exit 127' })
    await expect(start()).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('libjemalloc.so.2 is missing'),
    })
  })

  test('that are pinned to a version no one has: the message lists what the package manager offers', async () => {
    programs({
      dpkg: 'exit 1',
      'apt-get': 'exit 0',
      'apt-cache':
        'echo "redis-server | 5:7.0.15-1~deb12u7 | http://deb.example bookworm/main amd64 Packages"',
    })
    await expect(start({ version: '7.2' })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('it offers redis-server 5:7.0.15-1~deb12u7'),
    })
  })

  test('without a network are unavailable: the message says what to install, and no credentials', async () => {
    programs({
      dpkg: 'exit 1',
      'apt-get':
        'echo "W: Failed to fetch http://user:canary@deb.example/InRelease  Could not connect"; exit 0',
      'apt-cache': 'exit 0',
    })
    const error = await start().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
    expect(String(error)).toMatch(/apt-get install redis-server.*Could not connect/s)
    expect(String(error)).not.toContain('canary')
    expect(existsSync(join(folder, 'cache', 'redis-server-7.0-debian-x64'))).toBe(false)
  })

  test('are fetched once, unpacked with all they need, and used from the cache', async () => {
    const real = process.env.PATH
    programs({
      'apt-cache': 'echo "redis-server | 5:7.0.15-1 | somewhere"',
      'apt-get': `
        case "$*" in
          *simulate*) echo "Inst liblzf1 (3.6-3 Debian:12 [amd64])"; echo "Inst redis-server (5:7.0.15-1 Debian:12 [amd64])" ;;
          *download*) echo "$*" >> ${join(folder, 'asked')}; : > redis.deb ;;
        esac`,
      dpkg: `mkdir -p "$3/usr/bin"; printf '#!/bin/sh\\n${redis('7.0.15')}\\nexec sleep 0' > "$3/usr/bin/redis-server"; chmod 755 "$3/usr/bin/redis-server"`,
    })
    // The stand-ins are found first; what they need themselves comes after them.
    vi.stubEnv('PATH', [process.env.PATH, real].join(delimiter))
    const { redisDebian } = await import('./programs.ts')
    const all = await Promise.all([redisDebian.find('7.0', {}), redisDebian.find('7.0', {})])
    for (const found of all) expect(found).toMatchObject({ version: '7.0.15' })
    const asked = readFileSync(join(folder, 'asked'), 'utf8').trim().split('\n')
    expect(asked).toHaveLength(1)
    expect(asked[0]).toContain('download redis-server=5:7.0.15-1 redis-tools=5:7.0.15-1 liblzf1=3.6-3')
  })
})
