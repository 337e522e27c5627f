/** The `portside` command as a program of its own, with real servers. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freshPostgres } from '../../contract-tests/servers.ts'
import { stopServers } from '../servers/kept.ts'
import { identifyProcess } from '../servers/processes.ts'
import { endPrograms, type Program, startProgram } from './fixtures/program.ts'

const declaration = fileURLToPath(new URL('./fixtures/services.ts', import.meta.url))
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-cli-'))
})
afterEach(async () => {
  await endPrograms()
  await stopServers(join(folder, '.portside'))
  expect(serversIn(join(folder, '.portside')).filter(lives)).toEqual([])
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

const portside = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Program =>
  startProgram(args, { cwd: folder, env })

/** The processes of the servers that ran or run below `directory`. */
function serversIn(directory: string): number[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\d$/.test(name))
      .flatMap((name) => {
        const { process } = JSON.parse(readFileSync(join(directory, name, 'server.json'), 'utf8')) as {
          process?: { pid: number }
        }
        return process === undefined ? [] : [process.pid]
      })
  } catch {
    return []
  }
}

function lives(pid: number): boolean {
  return identifyProcess(pid) !== undefined
}

/** Runs a program of this text, with arguments of its own. */
const dev = (script: string, env: Readonly<Record<string, string>> = {}, ...args: string[]): Program =>
  portside(['dev', '--services', declaration, '--', process.execPath, '-e', script, ...args], env)

/** Until the servers are up and the program writes. */
const started = { timeout: 30_000, interval: 5 }
const printEnvironment = 'process.stdout.write(JSON.stringify(process.env))'

describe('portside dev', () => {
  test('brings every service up, tells the program where, answers its exit code and leaves the servers up', async () => {
    const script = `${printEnvironment}; process.exitCode = 7`
    const { code, out, err } = await dev(script, {}, '--', '--help').ended
    expect({ code, err: code === 7 ? '' : err }).toEqual({ code: 7, err: '' })
    const env = JSON.parse(out) as Record<string, string>
    expect(env.ORDERS_URL).toMatch(/^postgres:\/\/orders:[\w-]+@127\.0\.0\.1:\d+\/orders$/)
    expect(new URL(env.INVOICES_URL as string).port).toBe(new URL(env.ORDERS_URL as string).port)
    expect(env.SESSIONS_URL).toMatch(/^redis:\/\/:[\w-]+@127\.0\.0\.1:\d+\/0$/)
    expect(env.PORTSIDE_EXTERNALS).toBe('fake')
    expect(env.MAIL_URL).toBeUndefined()
    expect(err).toMatch(/orders: applying .*migrations[\s\S]*orders: 1 migration applied/)
    expect(err).toMatch(/sessions +redis 7\.0\.\d+ on 127\.0\.0\.1/)
    for (const name of ['ORDERS_URL', 'SESSIONS_URL']) {
      expect(err).not.toContain(new URL(env[name] as string).password)
    }
    expect(serversIn(join(folder, '.portside')).filter(lives)).toHaveLength(2)
    expect(readdirSync(folder)).toEqual(['.portside'])
    expect(readdirSync(join(folder, '.portside')).sort()).toEqual(['.gitignore', 'postgresql-17', 'redis-7'])
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'hands %s to the program, and leaves the servers and nothing but .portside',
    async (signal, code) => {
      const script = 'process.stdout.write(String(process.pid)); setInterval(() => {}, 1000)'
      const { child, out, ended } = dev(script)
      await expect.poll(out, started).not.toBe('')
      const pid = Number(out())
      const servers = serversIn(join(folder, '.portside'))
      expect(servers.filter(lives)).toHaveLength(2)
      child.kill(signal)
      expect((await ended).code).toBe(code)
      expect(lives(pid)).toBe(false)
      expect(servers.filter(lives)).toHaveLength(2)
      expect(readdirSync(folder)).toEqual(['.portside'])
    },
  )

  test('lets the program end in its own time and its own way on a signal, with its datastores still up', async () => {
    const script = `
      const { connect } = require('node:net')
      process.stdout.write('ready')
      const idle = setInterval(() => {}, 1000)
      process.on('SIGTERM', () => setTimeout(() => {
        const socket = connect(new URL(process.env.SESSIONS_URL).port, '127.0.0.1', () => {
          process.stdout.write(' drained')
          process.exit(0)
        })
      }, 300))`
    const { child, out, ended } = dev(script)
    await expect.poll(out, started).toBe('ready')
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0, out: 'ready drained' })
  })

  test('ended by SIGKILL leaves the servers, and the next one uses them', async () => {
    const killed = dev("console.log('ready'); setTimeout(() => {}, 3000)")
    await expect.poll(killed.out, started).not.toBe('')
    const servers = serversIn(join(folder, '.portside'))
    killed.child.kill('SIGKILL')
    // Its program holds on to its pipes for a while.
    await once(killed.child, 'exit')
    const { code, err } = await dev('0').ended
    expect(code).toBe(0)
    expect(err).toMatch(/orders .* ran already/)
    expect(serversIn(join(folder, '.portside'))).toEqual(servers)
    expect(servers.filter(lives)).toHaveLength(2)
  })

  test('stopped while the servers are still coming up leaves none', async () => {
    const { child, err, ended } = dev('0')
    await expect.poll(err, started).not.toBe('')
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
  })

  test('leaves a service whose URL is set to that, and does not touch its schema', async () => {
    const place = await freshPostgres()
    const { code, out, err } = await dev(printEnvironment, {
      ORDERS_URL: place.url,
      INVOICES_URL: place.url,
    }).ended
    expect(code).toBe(0)
    expect((JSON.parse(out) as Record<string, string>).ORDERS_URL).toBe(place.url)
    expect(err).toMatch(/orders +as ORDERS_URL says/)
    expect(err).not.toContain('applying')
    expect(err).not.toContain(new URL(place.url).password)
    expect(readdirSync(join(folder, '.portside')).sort()).toEqual(['.gitignore', 'redis-7'])
    await place.drop()
  })

  test.each([
    [{ PORTSIDE_EXTERNALS: 'real' }, /PORTSIDE_EXTERNALS must be unset or "fake"/],
    [
      { MAIL_URL: 'smtp://user:canary@mail.example:25' },
      /MAIL_URL is a real URL under PORTSIDE_EXTERNALS=fake/,
    ],
    [{ ORDERS_URL: 'mysql://user:canary@host/name' }, /ORDERS_URL is of no known scheme/],
  ])('refuses %j before anything is started', async (env, message) => {
    const { code, err } = await portside(
      ['dev', '--services', declaration, '--', 'true'],
      env as Record<string, string>,
    ).ended
    expect(code).toBe(1)
    expect(err).toMatch(message)
    expect(err).not.toContain('canary')
    expect(readdirSync(folder)).toEqual([])
  })

  test('whose migrations fail says so, shows no password, and runs no program', async () => {
    const { code, out, err } = await dev('console.log(1)', {
      TEST_MIGRATION: 'fails',
    }).ended
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toContain('no such table')
    expect(err).not.toContain('canary')
  })

  test('answers 127 for a program that is not there, and 126 for one that cannot be run', async () => {
    writeFileSync(join(folder, 'services.ts'), 'export const services = {}')
    // Also where a folder of the PATH may not be read, which nothing closes to root.
    const secret = join(folder, 'secret')
    mkdirSync(secret, { mode: 0o000 })
    const env = { PATH: `${secret}:${process.env.PATH}` }
    expect((await portside(['dev', '--', 'no-such-program'], env).ended).code).toBe(127)
    rmdirSync(secret)
    writeFileSync(join(folder, 'closed'), '', { mode: 0o600 })
    expect((await portside(['dev', '--', './closed']).ended).code).toBe(126)
  })
})

describe('the declaration', () => {
  const empty = 'export const services: object = {}'

  test('is found in its usual places, or where package.json says', async () => {
    const run = async (): Promise<number | null> => (await portside(['check']).ended).code
    expect(await run()).toBe(2)
    mkdirSync(join(folder, 'src'))
    writeFileSync(join(folder, 'src', 'services.ts'), empty)
    expect(await run()).toBe(0)
    writeFileSync(join(folder, 'package.json'), '{ "portside": { "services": "./elsewhere.ts" } }')
    expect(await run()).toBe(2)
    writeFileSync(join(folder, 'elsewhere.ts'), empty)
    expect(await run()).toBe(0)
  })

  test.each([
    ['that exports no services', 'export const other = 1', 2, /exports no "services"/],
    ['whose services are something else', 'export const services = { a: 1 }', 2, /exports no "services"/],
    ['that throws', "throw new Error('broken')", 1, /broken/],
  ])('%s is told', async (_, content, expected, message) => {
    writeFileSync(join(folder, 'services.ts'), content)
    const { code, err } = await portside(['check']).ended
    expect(code).toBe(expected)
    expect(err).toMatch(message)
  })
})

describe('portside check', () => {
  test('prints every problem at once, and no secret', async () => {
    const { code, err } = await portside(['check', '--services', declaration], {
      ORDERS_URL: 'mysql://user:canary@host/name',
    }).ended
    expect(code).toBe(1)
    for (const variable of ['ORDERS_URL', 'INVOICES_URL', 'SESSIONS_URL', 'MAIL_URL'])
      expect(err).toContain(variable)
    expect(err).not.toContain('canary')
  })

  test('prints what each service is attached to', async () => {
    const env = {
      ORDERS_URL: 'postgres://user:canary@db.example/orders',
      INVOICES_URL: 'postgres://user:canary@db.example/invoices',
      PORTSIDE_EXTERNALS: 'fake',
    }
    const { code, out, err } = await portside(
      ['check', '--services', declaration, '--sessions-url', 'redis://cache.example:6379/0'],
      env,
    ).ended
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/orders +bounded +postgres +17\.10 +postgres:\/\/db\.example\/orders +ORDERS_URL/)
    expect(out).toMatch(/sessions +bounded +redis +7\.0 +redis:\/\/cache\.example:6379\/0/)
    expect(out).toMatch(/mail +unbounded +fake/)
    expect(out).not.toContain('canary')
  })
})

describe('portside migrate', () => {
  test('applies the migrations of the services that are configured', async () => {
    const place = await freshPostgres()
    const { code, out, err } = await portside(['migrate', '--services', declaration], {
      ORDERS_URL: place.url,
    }).ended
    expect({ code, out }).toEqual({ code: 0, out: 'orders: applied 001-first\n' })
    expect(err).not.toContain(new URL(place.url).password)
    await place.drop()
  })

  test('fails where none is configured, and names the variable', async () => {
    const { code, err } = await portside(['migrate', '--services', declaration]).ended
    expect(code).toBe(1)
    expect(err).toContain('ORDERS_URL')
  })

  test('fails where the server does not answer', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as { port: number }
    closed.close()
    const url = `postgres://user:canary@127.0.0.1:${port}/orders`
    const { code, err } = await portside(['migrate', '--services', declaration, '--orders-url', url]).ended
    expect(code).toBe(1)
    expect(err).not.toContain('canary')
  })
})

describe('the command line', () => {
  test.each([['--version'], ['-v']])('%s prints the version', async (flag) => {
    expect(await portside([flag]).ended).toEqual({ code: 0, out: `${version}\n`, err: '' })
  })

  test.each([['--help'], ['help'], ['-h'], ['dev', '--help']])('%s %s prints the help', async (...args) => {
    const { code, out } = await portside(args).ended
    expect(code).toBe(0)
    for (const command of ['dev', 'migrate', 'check']) expect(out).toContain(`portside ${command}`)
  })

  test.each([
    [[]],
    [['deploy']],
    [['toString']],
    [['dev']],
    [['dev', '--']],
    [['dev', '--port', '1', '--', 'true']],
    [['check', '--services', 'nowhere.ts']],
    [['check', '--services', declaration, '--unknown-url', 'x']],
    [['check', '--services', declaration, 'surplus']],
  ])('%j is wrong usage', async (args) => {
    const { code, out, err } = await portside(args).ended
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).not.toContain('    at ')
    expect(readdirSync(folder)).toEqual([])
  })
})
