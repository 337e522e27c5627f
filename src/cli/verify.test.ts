/** `portside verify` as a program of its own, on real servers and on emulators that show what reached them. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import { makeEvidence, writeEvidence } from '../../contract-tests/evidence.ts'
import { keyValueStoreContract } from '../../contract-tests/key-value-store.ts'
import type { BehaviourResult } from '../../contract-tests/run.ts'
import { type FreshPlace, freshPostgres, freshRedis } from '../../contract-tests/servers.ts'
import { startSmtpEmulator } from '../../fakes/emulators/smtp.ts'
import { startXEmulator } from '../../fakes/emulators/x.ts'
import { FakeMailer } from '../../fakes/mailer.ts'
import { FakeSocialPublisher } from '../../fakes/social-publisher.ts'
import { readEvidence } from '../parity/evidence.ts'
import { type Ended, endPrograms, type Program, startProgram } from './fixtures/program.ts'

// A run of a contract is a minute's work where the machine has much else to do.
vi.setConfig({ testTimeout: 180_000 })

const declaration = fileURLToPath(new URL('./fixtures/verified.ts', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-verify-'))
})
afterEach(async () => {
  await endPrograms()
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Program =>
  startProgram(['verify', ...args], { cwd: folder, env })

const verify = (args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ended> =>
  start([...args, '--services', declaration], env).ended

interface Report {
  readonly server: unknown
  readonly kind: string
  readonly counts: Readonly<Record<'passed' | 'failed' | 'skipped' | 'diverged', number>>
  readonly results: readonly { readonly id: string; readonly outcome: string; readonly reason?: string }[]
  readonly evidence: string | undefined
}
const reportOf = ({ out, err }: Ended): Report => {
  if (out === '') throw new Error(err)
  return JSON.parse(out) as Report
}
const skippedFor = (report: Report, reason: RegExp): number =>
  report.results.filter((result) => result.outcome === 'skipped' && reason.test(result.reason ?? '')).length

describe('on a key-value store that others use', () => {
  let place: FreshPlace
  let client: Redis
  beforeAll(async () => {
    place = await freshRedis()
    client = new Redis(place.url)
  })
  beforeEach(async () => {
    await client.mset('mine', '1', 'portside-verify', '2', 'zz', '3')
  })
  afterEach(async () => {
    expect((await client.keys('*')).sort()).toEqual(['mine', 'portside-verify', 'zz'])
    expect(await client.mget('mine', 'portside-verify', 'zz')).toEqual(['1', '2', '3'])
  })
  afterAll(async () => {
    client.disconnect()
    await place.drop()
  })

  test('runs the whole contract, leaves what was there, and writes evidence without a secret', async () => {
    const { code, out, err } = await verify(['sessions'], { SESSIONS_URL: place.url })
    expect({ code, failures: err.match(/FAILED.*/g) }).toEqual({ code: 0, failures: null })
    expect(out).toMatch(/^sessions on redis 7\.0\.\d+: \d+ passed, 0 failed, 0 diverged, \d+ skipped$/m)
    expect(readdirSync(join(folder, 'contract-tests', 'evidence'))).toEqual(['sessions.json'])
    const path = join(folder, 'contract-tests', 'evidence', 'sessions.json')
    const { behaviours, ...head } = readEvidence(path)
    expect(head).toMatchObject({
      ...{ port: 'key-value-store', subject: 'sessions', kind: 'real', adapter: 'redis' },
      server: { product: 'redis', version: expect.stringMatching(/^7\.0\./) },
    })
    expect(Object.keys(behaviours).sort()).toEqual(
      keyValueStoreContract.behaviours.map(({ id }) => `key-value-store/${id}`).sort(),
    )
    const passed = Object.values(behaviours).filter(({ outcome }) => outcome === 'passed').length
    expect(passed).toBeGreaterThan(40)
    const url = new URL(place.url)
    for (const text of [out, err, readFileSync(path, 'utf8')]) {
      expect(text).not.toContain(url.password)
      expect(text).not.toContain(url.host)
    }
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('cut short by %s leaves nothing, and goes on where it stopped', async (signal, code) => {
    const part = ['sessions', '--services', declaration, '--only', 'common']
    const { child, err, ended } = start([...part, '--rate', '100/s'], { SESSIONS_URL: place.url })
    await expect.poll(err, { timeout: 20_000 }).toMatch(/\[ 4\/\d+\]/)
    child.kill(signal)
    const first = await ended
    expect(first.code).toBe(code)
    expect(first.err).toContain('go on with --resume')
    const evidence = join(folder, 'contract-tests', 'evidence')
    expect(readdirSync(evidence)).toEqual(['sessions.part.progress'])
    const done = (first.err.match(/^portside: \[/gm) ?? []).length

    const second = await start([...part, '--resume', '--json'], { SESSIONS_URL: place.url }).ended
    expect(second.code).toBe(0)
    const all = keyValueStoreContract.behaviours.filter(({ id }) => id.startsWith('common')).length
    expect(reportOf(second).results).toHaveLength(all)
    expect(second.err.match(/^portside: \[/gm)).toHaveLength(all - done)
    expect(readdirSync(evidence)).toEqual([])
  })

  test('killed without a chance to clean up, is cleaned up after by the next run', async () => {
    const part = ['sessions', '--services', declaration, '--only', 'common']
    const { child, err, ended } = start([...part, '--rate', '100/s'], { SESSIONS_URL: place.url })
    await expect.poll(err, { timeout: 20_000 }).toMatch(/\[ 4\/\d+\]/)
    child.kill('SIGKILL')
    await ended
    const [name] = /portside-verify-[a-z0-9]+/.exec(err()) ?? ['']
    // What it might have been about to remove.
    await client.set(`${name}-x-1:left`, 'behind')
    expect((await start([...part, '--resume'], { SESSIONS_URL: place.url }).ended).code).toBe(0)
  })

  test('--only runs a part and writes no evidence', async () => {
    const ended = await verify(['sessions', '--only', 'common/ping', '--json'], { SESSIONS_URL: place.url })
    expect(ended.code).toBe(0)
    const report = reportOf(ended)
    expect(report.results).toEqual([{ id: 'key-value-store/common/ping-tells-it-is-up', outcome: 'passed' }])
    expect(report.evidence).toBeUndefined()
    expect(readdirSync(join(folder, 'contract-tests', 'evidence'))).toEqual([])
  })

  test('a divergence is shown with its reason, and fails the run where it is of no use', async () => {
    const entry = {
      subject: 'sessions',
      behaviour: 'key-value-store/common/ping-tells-it-is-up',
      ...{ difference: 'it does not answer', reason: 'old', source: 'manual', expires: '2999-01-01' },
    }
    writeFileSync(join(folder, 'entries.json'), JSON.stringify([entry]))
    const args = ['sessions', '--only', 'common/ping', '--divergences', 'entries.json']
    const { code, err } = await verify(args, { SESSIONS_URL: place.url })
    expect(code).toBe(1)
    expect(err).toContain('is of no use: the behaviour passes')
  })

  test('while another run is under way is refused', async () => {
    const args = ['sessions', '--services', declaration, '--rate', '20/s']
    const { child, err, ended } = start(args, { SESSIONS_URL: place.url })
    await expect.poll(err, { timeout: 20_000 }).toMatch(/\[ 1\/\d+\]/)
    const other = await verify(['sessions'], { SESSIONS_URL: place.url })
    expect(other.code).toBe(1)
    expect(other.err).toContain(`is being verified by process ${child.pid}`)
    child.kill('SIGINT')
    expect((await ended).code).toBe(130)
  })
})

describe('on a database that others use', () => {
  let place: FreshPlace
  let admin: pg.Client
  beforeAll(async () => {
    place = await freshPostgres()
    admin = new pg.Client({ connectionString: inject('postgresUrl') })
    await admin.connect()
    const client = new pg.Client({ connectionString: place.url })
    await client.connect()
    await client.query('CREATE TABLE seats (id int); INSERT INTO seats VALUES (1)')
    await client.end()
  })
  afterAll(async () => {
    await admin.end()
    await place.drop()
  })

  test.each([
    ['a database', 'CREATEDB', /verifying in the database portside_verify_/],
    [
      'a schema, where the role may make no database',
      'NOCREATEDB',
      /verifying in the schema portside_verify_/,
    ],
  ])('works in %s of its own, and leaves neither', async (_, right, told) => {
    await admin.query(`ALTER ROLE "${new URL(place.url).username}" ${right}`)
    const ended = await verify(['orders', '--only', 'statement', '--json'], { ORDERS_URL: place.url })
    const report = reportOf(ended)
    expect(ended.err).toMatch(told)
    expect({ code: ended.code, failed: report.counts.failed }).toEqual({ code: 0, failed: 0 })
    expect(report.counts.passed).toBeGreaterThan(3)
    expect(report.server).toEqual({ product: 'postgresql', version: '17.10' })
    const { rows } = await admin.query(
      `SELECT datname FROM pg_database WHERE datname LIKE 'portside_verify%'`,
    )
    expect(rows).toEqual([])
    const client = new pg.Client({ connectionString: place.url })
    await client.connect()
    const schemas = await client.query(
      `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'portside_verify%'`,
    )
    expect(schemas.rows).toEqual([])
    expect((await client.query('SELECT id FROM seats')).rows).toEqual([{ id: 1 }])
    await client.end()
  })
})

describe('on someone else’s API', () => {
  test('sends no mail; and where that is really asked for, from one address to one address only', async () => {
    const fake = new FakeMailer()
    const emulator = await startSmtpEmulator(fake)
    try {
      const env = { MAIL_URL: emulator.url }
      const quiet = reportOf(await verify(['mail', '--only', 'common/signal', '--json'], env))
      expect(fake.outbox).toEqual([])
      expect(skippedFor(quiet, /would send real mail/)).toBeGreaterThan(0)
      expect(quiet.counts).toMatchObject({ passed: 0, failed: 0 })
      // What an emulator shows says nothing of any real server.
      expect(quiet.kind).toBe('emulator')

      const consent = ['--really', '--sender', 'shop@own.example', '--recipient', 'me@own.example']
      const loud = reportOf(await verify(['mail', '--only', 'common/signal', '--json', ...consent], env))
      expect(skippedFor(loud, /would send real mail/)).toBe(0)
      expect(fake.outbox.length).toBeGreaterThan(0)
      for (const { message, recipients } of fake.outbox) {
        expect(recipients).toEqual(['me@own.example'])
        expect(message.from).toBe('shop@own.example')
      }
    } finally {
      await emulator.close()
    }
  })

  test('publishes nothing; and where that is really asked for, deletes it again', async () => {
    const token = 'a-token-of-some-length'
    const fake = new FakeSocialPublisher()
    const emulator = await startXEmulator(fake, { token })
    try {
      const env = { SOCIAL_URL: `x+http://bearer:${token}@127.0.0.1:${emulator.port}` }
      const quiet = reportOf(await verify(['social', '--only', 'publish/can-be-got', '--json'], env))
      expect(fake.posts).toEqual([])
      expect(skippedFor(quiet, /would publish real posts/)).toBe(1)
      expect(quiet.counts.passed).toBe(0)

      const consent = ['--really', '--account', '@own_test']
      const args = ['social', '--only', 'publish/can-be-got', '--json', ...consent]
      const loud = reportOf(await verify(args, env))
      expect(loud.counts).toMatchObject({ passed: 1, failed: 0 })
      expect(loud.counts.skipped).toBe(0)
      expect(fake.posts).toEqual([])
    } finally {
      await emulator.close()
    }
  })
})

describe('before anything is touched', () => {
  const anywhere = { SESSIONS_URL: 'redis://user:canary@127.0.0.1:1/0', MAIL_URL: 'smtp://127.0.0.1:1' }

  test.each([
    [[]],
    [['nothing']],
    [['sessions', 'orders']],
    [['sessions', '--rate', '0']],
    [['sessions', '--rate', 'fast']],
    [['sessions', '--only', 'no-such']],
    [['sessions', '--subject', 'No Slug']],
    [['sessions', '--server', 'redis']],
    [['sessions', '--max-age', 'old']],
    [['sessions', '--contract', 'nowhere.ts']],
    [['sessions', '--recipient', 'me@own.example']],
    [['sessions', '--really', '--account', 'me']],
    [['mail', '--really']],
    [['mail', '--really', '--sender', 'shop@own.example']],
    [['mail', '--really', '--sender', 'Shop <shop@own.example>', '--recipient', 'me@own.example']],
    [['social', '--really']],
    [['sessions', '--unknown']],
  ])('%j is wrong usage', async (args) => {
    const { code, out } = await verify(args, anywhere)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(readdirSync(folder)).toEqual([])
  })

  test('a service that is a fake, or has no URL, is refused', async () => {
    expect((await verify(['mail'], { PORTSIDE_EXTERNALS: 'fake' })).code).toBe(2)
    const { code, err } = await verify(['sessions'])
    expect(code).toBe(1)
    expect(err).toContain('SESSIONS_URL')
  })

  test('a service that does not answer is told, without its password, and leaves nothing', async () => {
    const { code, err } = await verify(['sessions'], anywhere)
    expect(code).toBe(1)
    expect(err).toMatch(/sessions/)
    expect(err).not.toContain('canary')
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('--max-age', () => {
  const evidence = (): string => join(folder, 'contract-tests', 'evidence')
  const file = (): string => join(evidence(), 'sessions.json')

  beforeEach(() => {
    const results = keyValueStoreContract.behaviours.map(
      ({ id }): BehaviourResult => ({ id: `key-value-store/${id}`, outcome: 'passed' }),
    )
    const made = { contract: keyValueStoreContract, subject: 'sessions', kind: 'real', results } as const
    writeEvidence(makeEvidence({ ...made, portside: '1.0.0', date: new Date() }), evidence())
  })

  const change = (from: RegExp, to: string): void => {
    const text = readFileSync(file(), 'utf8')
    expect(text).toMatch(from)
    writeFileSync(file(), text.replace(from, to))
  }

  test('accepts what is young, of this contract and without failures, and runs nothing', async () => {
    const { code, out } = await verify(['sessions', '--max-age', '30d'])
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/^sessions: of .*, in force\n$/) })
  })

  test.each<[string, () => void, RegExp]>([
    ['too old', () => change(/"date": "[^"]+"/, '"date": "2020-02-03"'), /days old; at most 30/],
    ['of another contract', () => change(/"contract": "[^"]+"/, '"contract": "0"'), /contract has changed/],
    ['of a failure', () => change(/"outcome":"passed"/, '"outcome":"failed"'), /1 of its behaviours failed/],
    ['of another port', () => change(/"port": "[^"]+"/, '"port": "mailer"'), /of the port "mailer"/],
    ['missing', () => rmSync(file()), /there is no/],
    ['no evidence', () => writeFileSync(file(), '{}'), /is no evidence/],
  ])('fails on what is %s', async (_, spoil, message) => {
    spoil()
    const { code, err } = await verify(['sessions', '--max-age', '30d'])
    expect(code).toBe(1)
    expect(err).toMatch(message)
  })

  test('alone fails on every service of the declaration that has none', async () => {
    const { code, out, err } = await verify(['--max-age', '30d'])
    expect(code).toBe(1)
    expect(out).toContain('sessions: of')
    for (const name of ['orders', 'mail', 'social']) expect(err).toContain(`${name}: there is no`)
  })

  test('without a declaration checks what is there, and fails where that is nothing', async () => {
    expect((await start(['--max-age', '30d']).ended).code).toBe(0)
    rmSync(file())
    expect(existsSync(file())).toBe(false)
    expect((await start(['--max-age', '30d']).ended).code).toBe(1)
  })
})
