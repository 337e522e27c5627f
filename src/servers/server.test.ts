/** The handling of servers, on a small program that stands for any engine. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunningServer, StartOptions } from '../adapter.ts'
import { toyServer } from './fixtures/toy-server.ts'
import { identifyProcess, isRunning } from './processes.ts'

let folder: string
let directory: string
const running: RunningServer[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-toy-'))
  directory = join(folder, 'toy')
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()))
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

async function start(options: Partial<StartOptions> = {}, mode?: string): Promise<RunningServer> {
  const server = await toyServer(mode).start({ version: '1.2', directory, ...options })
  running.push(server)
  return server
}

function lives(pid: number): boolean {
  return identifyProcess(pid) !== undefined
}

async function listenOn(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

describe('the life of a server', () => {
  test('it runs until it is stopped; stopping twice resolves', async () => {
    const server = await start()
    expect(server.identity).toEqual({ engine: 'toy', version: '1.2.3' })
    expect(lives(server.pid)).toBe(true)
    await Promise.all([server.stop(), server.stop()])
    await server.stop()
    expect(lives(server.pid)).toBe(false)
    expect(existsSync(join(directory, 'lock'))).toBe(false)
  })

  test.each(['stop', 'kill'] as const)('it comes back on the same port after %s', async (end) => {
    const server = await start()
    const { port, pid } = server
    await server[end]()
    expect(lives(pid)).toBe(false)
    await expect(server.provision('orders')).rejects.toMatchObject({ code: 'closed' })
    await server.restart()
    await server.restart()
    expect(server.port).toBe(port)
    expect(server.pid).not.toBe(pid)
    expect(await server.provision('orders')).toBe(`toy://127.0.0.1:${port}/orders`)
  })

  test('stop, kill and restart asked for at once happen one after another and leave nothing behind', async () => {
    const server = await start()
    const pids = new Set([server.pid])
    const steps = [
      server.kill(),
      server.restart(),
      server.stop(),
      server.restart(),
      server.kill(),
      server.stop(),
    ]
    await Promise.all(steps.map((step) => step.then(() => pids.add(server.pid))))
    for (const pid of pids) expect(lives(pid)).toBe(false)
  })

  test('kill ends it together with the processes it has started', async () => {
    const server = await start({}, 'with-child')
    const child = Number(readFileSync(join(directory, 'data', 'child'), 'utf8'))
    expect(lives(child)).toBe(true)
    await server.kill()
    expect(lives(child)).toBe(false)
  })

  test('it keeps its port from one run to the next, and takes another where that is in use', async () => {
    const first = await start()
    const { port } = first
    await first.stop()
    const second = await start()
    expect(second.port).toBe(port)
    await second.stop()
    const other = await listenOn(port)
    const third = await start()
    expect(third.port).not.toBe(port)
    other.close()
  })

  test('a port that was asked for and is in use is a conflict that names it', async () => {
    const other = await listenOn(0)
    const { port } = other.address() as { port: number }
    await expect(start({ port })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(String(port)),
    })
    other.close()
    expect((await start({ port })).port).toBe(port)
  })
})

describe('a start that fails', () => {
  test('of a server that ends at once tells the end of its log, without its passwords', async () => {
    const error = await start({}, 'dies').catch((reason: unknown) => reason)
    const password = JSON.parse(readFileSync(join(directory, 'passwords.json'), 'utf8')).admin as string
    expect(error).toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
    expect(String(error)).toContain('the disk is full')
    expect(String(error)).toContain('[redacted]')
    expect(String(error)).not.toContain(password)
    expect(existsSync(join(directory, 'lock'))).toBe(false)
  })

  test('because it was aborted is cancelled, and leaves no process and no lock', async () => {
    const controller = new AbortController()
    const starting = start({ signal: controller.signal }, 'never-ready')
    const pidFile = join(directory, 'data', 'pid')
    await expect.poll(() => existsSync(pidFile)).toBe(true)
    controller.abort()
    await expect(starting).rejects.toMatchObject({ code: 'cancelled', outcome: 'not-applied' })
    expect(lives(Number(readFileSync(pidFile, 'utf8')))).toBe(false)
    expect(existsSync(join(directory, 'lock'))).toBe(false)
  })

  test('because the version is another says what was found, what is pinned and what to do', async () => {
    await expect(start({ version: '1.3' })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/Toy 1\.3 is pinned.*found 1\.2\.3.*install Toy 1\.3/s),
      details: { pinned: '1.3' },
    })
  })

  test('because the folder cannot be made says so', async () => {
    writeFileSync(join(folder, 'file'), '')
    await expect(start({ directory: join(folder, 'file', 'toy') })).rejects.toMatchObject({
      code: 'permission-denied',
    })
  })

  test.each([
    { version: 'latest' },
    { version: '' },
    { directory: '' },
    { directory: 'a\0b' },
    { port: 0 },
    { port: 65_536 },
    { port: 1.5 },
    { port: Number.NaN },
    { ports: 1 } as object,
  ])('because of %j is invalid-argument, and makes nothing', async (options) => {
    await expect(start(options)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(readdirSync(folder)).toEqual([])
  })

  test.each(['', 'Orders', 'or-ders', 'or/ders', '../x', `a${'b'.repeat(40)}`, 'naïve', 'a b', '\uD800'])(
    'no place is made for a service called %j',
    async (service) => {
      const server = await start()
      await expect(server.provision(service)).rejects.toMatchObject({ code: 'invalid-argument' })
    },
  )
})

describe('one folder', () => {
  test('has one server: of two starts at once one is a conflict that names the process', async () => {
    const results = await Promise.allSettled([start(), start()])
    const failed = results.filter(({ status }) => status === 'rejected')
    expect(failed).toHaveLength(1)
    expect(failed[0]).toMatchObject({
      reason: { code: 'conflict', message: expect.stringContaining(String(process.pid)) },
    })
  })

  test('is given up by stop, so that a restart may find it taken', async () => {
    const first = await start()
    await first.stop()
    await start()
    await expect(first.restart()).rejects.toMatchObject({ code: 'conflict' })
  })

  test('keeps its passwords to its owner', async () => {
    await start()
    for (const name of ['passwords.json', 'server.log']) {
      expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600)
    }
  })

  test('with a password file that cannot be read is corrupt, and the message says what to do', async () => {
    await (await start()).stop()
    writeFileSync(join(directory, 'passwords.json'), '{ "adm')
    await expect(start()).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining(directory),
    })
  })
})

describe('a server dies with its owner', () => {
  async function startInChild(): Promise<{ owner: ReturnType<typeof spawn>; pid: number }> {
    const script = join(folder, 'owner.ts')
    const toy = new URL('./fixtures/toy-server.ts', import.meta.url).href
    writeFileSync(
      script,
      `import { toyServer } from ${JSON.stringify(toy)}
       const server = await toyServer().start({ version: '1.2', directory: ${JSON.stringify(directory)} })
       process.stdout.write(String(server.pid) + '\\n')
       if (process.argv[2] === 'throw') throw new Error('uncaught')
       if (process.argv[2] === 'stay') setInterval(() => {}, 1_000)`,
    )
    const owner = spawn(process.execPath, [script, mode], { stdio: ['ignore', 'pipe', 'ignore'] })
    const [line] = await once(owner.stdout, 'data')
    return { owner, pid: Number(line) }
  }
  let mode = 'stay'

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const)('that is ended by %s', async (signal) => {
    mode = 'stay'
    const { owner, pid } = await startInChild()
    expect(lives(pid)).toBe(true)
    owner.kill(signal)
    await expect.poll(() => lives(pid), { timeout: 15_000 }).toBe(false)
    expect((await start()).identity.engine).toBe('toy')
  })

  test.each(['end', 'throw'])(
    'that comes to its own end (%s): a server keeps no program alive',
    async (how) => {
      mode = how
      const { owner, pid } = await startInChild()
      if (owner.exitCode === null) await once(owner, 'exit')
      await expect.poll(() => lives(pid), { timeout: 15_000 }).toBe(false)
    },
  )

  test('and a temporary folder goes with it, though something still writes there', async () => {
    const temporary = join(folder, 'temporary')
    const made = join(folder, 'made')
    const script = join(folder, 'owner.ts')
    writeFileSync(
      script,
      `import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
       import { spawn } from 'node:child_process'
       import { guardFolder } from ${JSON.stringify(new URL('./guardian.ts', import.meta.url).href)}
       mkdirSync(${JSON.stringify(temporary)})
       guardFolder(${JSON.stringify(temporary)})
       const writing = 'for n in 1 2 3 4 5 6 7 8 9; do mkdir -p "$0/$n"; : > "$0/$n/file"; sleep 0.05; done'
       spawn('/bin/sh', ['-c', writing, ${JSON.stringify(temporary)}], { detached: true, stdio: 'ignore' })
       writeFileSync(${JSON.stringify(made)}, String(existsSync(${JSON.stringify(temporary)})))
       setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100)`,
    )
    await once(spawn(process.execPath, [script], { stdio: 'ignore' }), 'exit')
    // That it was there its owner tells: it may be gone by now.
    expect(readFileSync(made, 'utf8')).toBe('true')
    await expect.poll(() => existsSync(temporary), { timeout: 15_000 }).toBe(false)
  })

  // Guardians are found by their arguments, which only Linux shows as files.
  test.runIf(process.platform === 'linux')(
    'and where even its guardian was killed, the next start stops it first',
    async () => {
      mode = 'stay'
      const { owner, pid } = await startInChild()
      const orphan = identifyProcess(pid)
      const guardians = guardiansOf(owner.pid)
      expect(guardians).not.toEqual([])
      for (const guardian of guardians) process.kill(guardian, 'SIGKILL')
      owner.kill('SIGKILL')
      await once(owner, 'exit')
      expect(orphan !== undefined && isRunning(orphan)).toBe(true)
      const told: string[] = []
      const server = await start({ onProgress: (message) => told.push(message) })
      expect(orphan !== undefined && isRunning(orphan)).toBe(false)
      expect(server.pid).not.toBe(pid)
      expect(told.join('\n')).toContain(`process ${pid}`)
    },
  )
})

function guardiansOf(owner: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => {
      try {
        const line = readFileSync(`/proc/${candidate}/cmdline`, 'utf8').split('\0')
        const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${candidate}/status`, 'utf8'))?.[1]
        return line.includes('portside-guardian') && parent === String(owner)
      } catch {
        return false
      }
    })
}
