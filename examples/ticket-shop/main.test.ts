/** The program as it is run: a process of its own, told what to do by its environment and by signals. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sql } from 'portside'
import { attachForTest } from 'portside/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { services } from './services.ts'
import { adminToken, startDatastores } from './shop.setup.ts'

// Each starts servers and a program, which takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

interface Program {
  readonly child: ChildProcess
  /** Every line of its standard output, as the JSON it must be. */
  readonly lines: () => readonly Readonly<Record<string, unknown>>[]
  readonly output: () => string
  readonly exit: Promise<number | null>
}

function run(env: Readonly<Record<string, string>>): Program {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], { env: { PATH: process.env.PATH ?? '', ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  return {
    child,
    lines: () => {
      const complete = output.slice(0, output.lastIndexOf('\n') + 1)
      return complete
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    },
    output: () => output,
    exit: once(child, 'close').then(([code]) => code),
  }
}

async function serve() {
  const { env } = await startDatastores()
  const { app } = await attachForTest(services, { env })
  onTestFinished(() => app.close())
  const program = run({ ...env, PORT: '0', SHOP_ADMIN_TOKEN: adminToken })
  const url = await vi.waitFor(
    () => {
      const line = program.lines().find(({ message }) => message === 'serving')
      expect(line, program.output()).toBeDefined()
      return new URL(String(line?.url))
    },
    { timeout: 60_000 },
  )
  return { app, env, program, url }
}

test('it logs what it is attached to, in JSON and without a secret', async () => {
  const { env, program, url } = await serve()
  expect(url.hostname).toBe('127.0.0.1')
  expect(program.lines().filter(({ message }) => message === 'attached')).toMatchObject([
    { service: 'orders', boundary: 'bounded', pin: '17.10', server: { engine: 'postgresql' } },
    { service: 'sessions', boundary: 'bounded', pin: '7.0', server: { engine: 'redis' } },
    { service: 'receipts', implementation: 'fake' },
    { service: 'mail', implementation: 'fake' },
    { service: 'social', implementation: 'fake' },
    { service: 'printer', implementation: 'fake' },
  ])
  for (const url of [env.ORDERS_URL, env.SESSIONS_URL]) {
    const { password } = new URL(url ?? '')
    expect(password).not.toBe('')
    expect(program.output()).not.toContain(password)
  }
  program.child.kill('SIGINT')
  expect(await program.exit).toBe(0)
})

test('SIGTERM lets the request under way finish, takes no new one, and ends with 0', async () => {
  const { app, program, url } = await serve()
  const post = (path: string, token: string, body: object): Promise<Response> =>
    fetch(new URL(path, url), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': 'key-0001',
      },
      body: JSON.stringify(body),
    })
  const event = { name: 'Opening night', startsAt: '2030-05-01T19:00:00Z', priceCents: 0, currency: 'EUR' }
  const created = await post('/events', adminToken, { ...event, rows: 1, seatsPerRow: 1 })
  const { id: eventId } = (await created.json()) as { id: string }
  const session = await post('/sessions', '', { email: 'ada@example.org' })
  const { token } = (await session.json()) as { token: string }

  let order: Promise<Response> | undefined
  // Holding the event's row keeps the order waiting inside the shop.
  await app.orders.transaction(async (transaction) => {
    await transaction.execute(sql`select from events where id = ${eventId} for update`)
    order = post('/orders', token, { eventId, bestAvailable: 1 })
    await vi.waitFor(async () => {
      const [row] = await transaction.query<{ count: number }>(
        sql`select count(*)::integer as count from pg_stat_activity where wait_event_type = 'Lock'`,
      )
      expect(row?.count).toBeGreaterThan(0)
    })
    program.child.kill('SIGTERM')
    await vi.waitFor(() => expect(program.lines().map(({ message }) => message)).toContain('stopping'))
    await vi.waitFor(() => expect(fetch(new URL('/events', url))).rejects.toThrow())
  })
  const answer = await order
  expect(answer?.status).toBe(201)
  expect(await program.exit).toBe(0)
  expect(await app.orders.query(sql`select id from orders`)).toHaveLength(1)
})

test('a wrong configuration is told completely, and ends with 1 before anything is opened', async () => {
  const secret = 'canary-password'
  const program = run({
    ORDERS_URL: `postgres://shop:${secret}@127.0.0.1:1/shop?colour=blue`,
    MAIL_URL: 'fake:',
    PRINTER_URL: `print-shop+http://key:${secret}@print.example`,
  })
  expect(await program.exit).toBe(1)
  const output = program.output()
  for (const name of [
    'ORDERS_URL',
    'SESSIONS_URL',
    'RECEIPTS_URL',
    'MAIL_URL',
    'SOCIAL_URL',
    'PRINTER_URL',
  ]) {
    expect(output).toContain(name)
  }
  expect(output).not.toContain(secret)
})

test('a release whose migrations have not run takes no traffic, and says which', async () => {
  const { env } = await startDatastores({ migrate: false })
  const program = run({ ...env, PORT: '0', SHOP_ADMIN_TOKEN: adminToken })
  expect(await program.exit).toBe(1)
  expect(program.lines()).toContainEqual(
    expect.objectContaining({ message: 'no-go', rung: 'migrations', service: 'orders' }),
  )
  expect(program.output()).toMatch(/orders is not ready: 1 migration not run: 0001_shop/)
  expect(program.output()).not.toContain('serving')
})

test('a mail server that is down keeps no release from its traffic, and is told of', async () => {
  const { env } = await startDatastores()
  const secret = 'canary-password'
  // Nothing listens on port 1.
  const program = run({
    ...env,
    PORT: '0',
    PORTSIDE_EXTERNALS: 'real',
    RECEIPTS_URL: `s3://key:${secret}@receipts?endpoint=${encodeURIComponent('http://127.0.0.1:1')}`,
    MAIL_URL: `smtp://shop:${secret}@127.0.0.1:1`,
    SOCIAL_URL: `x+http://bearer:${secret}@127.0.0.1:1`,
    PRINTER_URL: `print-shop+http://key:${secret}@127.0.0.1:1`,
  })
  await vi.waitFor(
    () =>
      expect(
        program.lines().map(({ message }) => message),
        program.output(),
      ).toContain('serving'),
    { timeout: 60_000 },
  )
  const told = program.lines().filter(({ message }) => message === 'no-go')
  expect(told.map(({ service, rung, code }) => [service, rung, code])).toContainEqual([
    'mail',
    'tcp',
    'unavailable',
  ])
  program.child.kill('SIGTERM')
  expect(await program.exit).toBe(0)
  expect(program.output()).not.toContain(secret)
})

test('a wrong setting ends with 1 and shows no value', async () => {
  const program = run({ PORT: '70000', SHOP_ADMIN_TOKEN: 'too-short', PORTSIDE_EXTERNALS: 'fake' })
  expect(await program.exit).toBe(1)
  expect(program.output()).toMatch(/PORT.*SHOP_ADMIN_TOKEN/s)
  expect(program.output()).not.toContain('too-short')
})
