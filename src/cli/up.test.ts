/** Datastores between commands: brought up once, found again, stopped, reset; on a small server that is up at once. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { serversIn } from '../servers/kept.ts'
import { folder, lives, onlyServer, portside, projectFolder, toys, up } from './fixtures/commands.ts'

// Many programs, one after another, on a machine that has other things to do.
vi.setConfig({ testTimeout: 90_000 })
const services = ['--services', toys] as const

describe('servers that are up', () => {
  test('stay, and are used again by every command, until down; then they come back where they were', async () => {
    const first = await up()
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out).toMatch(/^orders +toy 1\.2\.3 on 127\.0\.0\.1:\d+ +started$/m)
    const { pid, port, state } = await onlyServer()
    expect(state).toBe('running')
    const second = await up()
    expect(second.out).toMatch(/^carts +toy 1\.2\.3 on 127\.0\.0\.1:\d+ +ran already$/m)
    expect(await onlyServer()).toMatchObject({
      pid,
      port,
      services: ['orders', 'carts'],
      from: 'the toy box',
    })

    const status = await portside(['status'])
    expect(status.code).toBe(0)
    expect(status.out).toMatch(
      new RegExp(`^toy-1 +running +1\\.2\\.3 +${port} +${pid} +orders,carts +the toy box$`, 'm'),
    )
    expect(status.out).toContain('toy-1: not from a container engine: PORTSIDE_SERVERS=local rules it out')
    const json = JSON.parse((await portside(['status', '--json'])).out) as { servers: unknown[] }
    expect(json.servers).toMatchObject([{ name: 'toy-1', state: 'running', pid }])

    const env = await portside(['env', ...services])
    const url = (name: string): string => `toy://127.0.0.1:${port}/${name}`
    expect(env).toEqual({
      code: 0,
      out: `ORDERS_URL=${url('orders')}\nCARTS_URL=${url('carts')}\nPORTSIDE_EXTERNALS=fake\n`,
      err: '',
    })

    expect(await portside(['down'])).toEqual({ code: 0, out: 'toy-1: stopped\n', err: '' })
    expect(lives(pid)).toBe(false)
    expect((await portside(['status'])).code).toBe(1)
    expect(await portside(['env', ...services])).toMatchObject({ code: 1, out: '' })
    expect(await portside(['down'])).toEqual({
      ...{ code: 0, out: 'nothing was running in .portside\n', err: '' },
    })
    await up()
    expect(await onlyServer()).toMatchObject({ state: 'running', port })
  })

  test('are started once, however many commands want them at the same moment', async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => up()))
    expect(all.map(({ code }) => code)).toEqual(Array(10).fill(0))
    expect(all.filter(({ out }) => /orders .* started/.test(out))).toHaveLength(1)
    expect(all.filter(({ out }) => /orders .* ran already/.test(out))).toHaveLength(9)
    expect(existsSync(join(folder, '.portside', 'lock'))).toBe(false)
  })

  test('outlive dev, which hands their URLs to the program; with --stop they end if it started them', async () => {
    const dev = ['dev', ...services, '--', process.execPath, '-e', 'console.log(process.env.ORDERS_URL)']
    const first = await portside(dev)
    const { pid, port } = await onlyServer()
    expect(first.out).toBe(`toy://127.0.0.1:${port}/orders\n`)
    expect(lives(pid)).toBe(true)
    const stop = ['dev', ...services, '--stop', '--', process.execPath, '-e', '0']
    expect((await portside(stop)).code).toBe(0)
    expect(lives(pid)).toBe(true)
    await portside(['down'])
    expect((await portside(stop)).code).toBe(0)
    expect((await onlyServer()).state).toBe('stopped')
  })

  test('of two projects are two, on ports of their own', async () => {
    const other = projectFolder()
    const [mine, others] = await Promise.all([up(), portside(['up', ...services], { cwd: other })])
    expect([mine.code, others.code]).toEqual([0, 0])
    const [here, there] = [await onlyServer(), await onlyServer(other)]
    expect(here.port).not.toBe(there.port)
    await portside(['down'])
    expect((await onlyServer(other)).state).toBe('running')
  })

  test('end when their folder is removed, by whatever', async () => {
    await up()
    const { pid } = await onlyServer()
    rmSync(join(folder, '.portside'), { recursive: true })
    await expect.poll(() => lives(pid), { timeout: 20_000 }).toBe(false)
  })
})

describe('every command', () => {
  test('finds the servers, and the declaration, from a folder below the project’s', async () => {
    const below = { cwd: join(folder, 'src', 'orders') }
    mkdirSync(below.cwd, { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ portside: { services: toys } }))
    expect((await portside(['up'], below)).out).toMatch(/orders +toy 1\.2\.3 .*started/)
    const { port, state } = await onlyServer()
    expect(state).toBe('running')
    expect((await portside(['up'])).out).toContain('ran already')
    expect((await portside(['env'], below)).out).toContain(`ORDERS_URL=toy://127.0.0.1:${port}/orders`)
    const program = ['--', process.execPath, '-e', 'console.log(process.cwd(), process.env.ORDERS_URL)']
    expect((await portside(['dev', ...program], below)).out).toBe(
      `${below.cwd} toy://127.0.0.1:${port}/orders\n`,
    )
    // Where a declaration is named, the servers are the same.
    expect((await portside(['up', ...services], below)).out).toContain('ran already')
    expect((await portside(['status'], below)).code).toBe(0)
    expect(await portside(['down'], below)).toMatchObject({ code: 0, out: 'toy-1: stopped\n' })
    expect(await portside(['reset', '--yes'], below)).toMatchObject({ code: 0, out: 'toy-1: removed\n' })
    expect(existsSync(join(below.cwd, '.portside'))).toBe(false)
  })

  test.each([
    ['of another repository', (below: string) => mkdirSync(join(below, '.git'))],
    ['of a project of its own', (below: string) => writeFileSync(join(below, 'services.ts'), '')],
    ['that anyone may write to', () => chmodSync(folder, 0o777)],
  ])('looks no further than a folder %s', async (_, make) => {
    const below = join(folder, 'below')
    mkdirSync(below)
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ portside: { services: toys } }))
    expect((await portside(['check'], { cwd: below })).err).toContain('ORDERS_URL')
    make(below)
    expect(await portside(['check'], { cwd: below })).toMatchObject({
      code: 2,
      err: expect.not.stringContaining('ORDERS_URL'),
    })
  })

  test('takes --services: what another declaration has there is left as it is', async () => {
    await up()
    const other = { TOY_PIN: '2.0', TOY_VERSION: '2.0.1' }
    await up(other)
    const states = async (): Promise<Record<string, string>> =>
      Object.fromEntries((await serversIn(join(folder, '.portside'))).map(({ name, state }) => [name, state]))
    const status = await portside(['status', ...services])
    expect(status).toMatchObject({ code: 0, out: expect.not.stringContaining('toy-2') })
    const down = await portside(['down', ...services])
    expect(down).toMatchObject({ code: 0, out: 'toy-1: stopped\n' })
    expect(down.err).toContain('toy-2 runs on: it is none of')
    expect(await states()).toEqual({ 'toy-1': 'stopped', 'toy-2': 'running' })
    expect((await portside(['status', ...services])).code).toBe(1)
    expect(await portside(['reset', '--yes', ...services])).toMatchObject({ out: 'toy-1: removed\n' })
    expect(await portside(['reset', '--yes', ...services])).toMatchObject({
      out: 'there was nothing to remove in .portside\n',
    })
    expect(await states()).toEqual({ 'toy-2': 'running' })
    expect(await portside(['reset', '--yes', ...services, 'toy-2'])).toMatchObject({ code: 2 })
    expect(await states()).toEqual({ 'toy-2': 'running' })
  })
})

describe('a service with a URL of its own', () => {
  test('is left to it: nothing is started for it, and env hands it on', async () => {
    const env = { ORDERS_URL: 'toy://elsewhere/orders', CARTS_URL: 'toy://elsewhere/carts' }
    expect((await up(env)).out).toMatch(/^orders +as ORDERS_URL says$/m)
    expect(readdirSync(folder)).toEqual([])
    expect((await portside(['env', ...services], { env })).out).toContain(
      'ORDERS_URL=toy://elsewhere/orders\n',
    )
  })
})

describe('data that was made otherwise', () => {
  test('under another pin is not used: what changed is told, and the ways on', async () => {
    await up()
    const { pid } = await onlyServer()
    writeFileSync(join(folder, '.portside', 'toy-1', 'data', 'precious'), 'kept')
    const other = { TOY_PIN: '1.9', TOY_VERSION: '1.9.0' }
    const refused = await up(other)
    expect(refused.code).toBe(1)
    expect(refused.err).toMatch(
      /the pin: it ran Toy 1\.2\.3, and 1\.9 is pinned[\s\S]*--accept-changes[\s\S]*portside reset/,
    )
    expect(lives(pid)).toBe(true)
    expect((await up()).out).toContain('ran already')

    expect((await up(other, ['--accept-changes'])).out).toMatch(/orders +toy 1\.9\.0 .*started/)
    expect(lives(pid)).toBe(false)
    expect(readFileSync(join(folder, '.portside', 'toy-1', 'data', 'precious'), 'utf8')).toBe('kept')
    expect((await up(other)).out).toContain('ran already')
  })

  test('under another major version stays where it is, and the new one says that it starts empty', async () => {
    await up()
    const { err, code } = await up({ TOY_PIN: '2.0', TOY_VERSION: '2.0.1' })
    expect(code).toBe(0)
    expect(err).toContain('toy-2 starts empty; the data in toy-1 stays there')
    expect(readdirSync(join(folder, '.portside')).sort()).toEqual(['.gitignore', 'toy-1', 'toy-2'])
  })

  test('by a migration that was changed or is gone is not used; new ones are applied', async () => {
    const migrations = join(folder, 'migrations')
    mkdirSync(migrations)
    const env = { TOY_MIGRATIONS: migrations }
    writeFileSync(join(migrations, '1.sql'), 'create table orders ()')
    expect((await up(env)).err).toContain('orders: 1 migration applied')
    expect((await up(env)).err).toBe('')
    writeFileSync(join(migrations, '2.sql'), 'create table carts ()')
    expect((await up(env)).err).toContain('orders: 1 migration applied')
    writeFileSync(join(migrations, '1.sql'), 'create table else ()')
    rmSync(join(migrations, '2.sql'))
    const refused = await up(env)
    expect(refused.code).toBe(1)
    expect(refused.err).toContain('1.sql was changed after it had run')
    expect(refused.err).toContain('2.sql is gone after it had run')
    expect((await up(env, ['--accept-changes'])).code).toBe(0)
    expect((await up(env)).code).toBe(0)
  })

  test('with passwords that are lost or are others is told at once', async () => {
    await up()
    await portside(['down'])
    const passwords = join(folder, '.portside', 'toy-1', 'passwords.json')
    writeFileSync(passwords, '{ "admin": "canary-canary" }')
    const other = await up()
    expect(other.code).toBe(1)
    expect(other.err).toContain('the credentials:')
    expect(other.err).not.toContain('canary')
    rmSync(passwords)
    const lost = await up()
    expect(lost.code).toBe(1)
    expect(lost.err).toMatch(/no passwords to it; nothing was touched/)
    expect((await portside(['reset', '--yes'])).code).toBe(0)
    expect((await up()).code).toBe(0)
  })
})

describe('portside reset', () => {
  test('stops servers and removes their data; the port stays', async () => {
    await up()
    const { pid, port } = await onlyServer()
    expect(await portside(['reset', '--yes'])).toEqual({ code: 0, out: 'toy-1: removed\n', err: '' })
    expect(lives(pid)).toBe(false)
    expect(readdirSync(join(folder, '.portside'))).toEqual(['.gitignore'])
    await up()
    expect((await onlyServer()).port).toBe(port)
  })

  test('asks before, and removes nothing where there is no one to ask', async () => {
    await up()
    expect(await portside(['reset'])).toMatchObject({ code: 2, err: expect.stringContaining('--yes') })
    expect((await onlyServer()).state).toBe('running')
  })

  test('of a server that is not there removes nothing', async () => {
    await up()
    const { code, err } = await portside(['reset', '--yes', 'toy-9'])
    expect(code).toBe(1)
    expect(err).toContain('there is no server toy-9')
    expect((await onlyServer()).state).toBe('running')
    expect(await portside(['reset', '--yes', 'toy-1'])).toMatchObject({ code: 0, out: 'toy-1: removed\n' })
    expect(await portside(['reset', '--yes'])).toMatchObject({
      code: 0,
      out: 'there was nothing to remove in .portside\n',
    })
  })
})

describe('PORTSIDE_SERVERS', () => {
  test('that is neither docker nor local is refused', async () => {
    const { code, err } = await up({ PORTSIDE_SERVERS: 'podman' })
    expect(code).toBe(1)
    expect(err).toContain('PORTSIDE_SERVERS must be "docker", "local", or unset')
  })

  test('of docker rules programs out: where no image is known, that is the error', async () => {
    const { code, err } = await up({ PORTSIDE_SERVERS: 'docker' })
    expect(code).toBe(1)
    expect(err).toMatch(
      /Toy 1\.2 is pinned and cannot be had here[\s\S]*no image of Toy is known[\s\S]*rules them out/,
    )
  })
})
