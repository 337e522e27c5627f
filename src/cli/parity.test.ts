/** `portside parity`, `preflight`, `export` and `stamp` as programs of their own, with real servers. */
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest'
import { type FreshPlace, freshPostgres, freshRedis } from '../../contract-tests/servers.ts'
import type { ParityDiff } from '../parity/diff.ts'
import type { ParityReport } from '../parity/report.ts'
import type { PreflightReport } from '../services/preflight-ladder.ts'

const main = fileURLToPath(new URL('./main.ts', import.meta.url))
const shop = fileURLToPath(new URL('./fixtures/shop.ts', import.meta.url))

// Each command is a process of its own, which takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let orders: FreshPlace
let sessions: FreshPlace
let env: Record<string, string>
beforeAll(async () => {
  ;[orders, sessions] = await Promise.all([freshPostgres(), freshRedis()])
})
afterAll(async () => {
  await Promise.all([orders.drop(), sessions.drop()])
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-parity-'))
  env = { ORDERS_URL: orders.url, SESSIONS_URL: sessions.url, PORTSIDE_EXTERNALS: 'fake' }
})
afterEach(() => rmSync(folder, { recursive: true, maxRetries: 5 }))

interface Ended {
  readonly code: number
  readonly out: string
  readonly err: string
}

function portside(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(([name]) => !/_URL(_FILE)?$|^PORTSIDE_/.test(name))
  const options = { cwd: folder, env: { ...Object.fromEntries(inherited), ...env, ...more } }
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}
const declared = ['--services', shop] as const

/** What every output is held to. */
function expectNoSecret({ out, err }: Ended): void {
  for (const url of [orders.url, sessions.url]) expect(out + err).not.toContain(new URL(url).password)
}

describe('portside preflight', () => {
  test('is no-go at the migrations until they have run, and then goes', async () => {
    const before = await portside(['preflight', ...declared])
    expect(before.code).toBe(16)
    expect(before.out).toMatch(/NO-GO +migrations +orders .*0001_orders.*portside migrate/)
    expect(before.out.trimEnd()).toMatch(/NO-GO: migrations$/)
    expectNoSecret(before)
    expect((await portside(['migrate', ...declared])).code).toBe(0)
    const after = await portside(['preflight', ...declared])
    expect({ code: after.code, err: after.err }).toEqual({ code: 0, err: '' })
    const rungs = after.out.split('\n').map((line) => line.trim().split(/\s+/)[1])
    expect([...new Set(rungs)].slice(0, 7)).toEqual([
      'config',
      'credentials',
      'dns',
      'tcp',
      'version',
      'operation',
      'migrations',
    ])
    expect(after.out).toMatch(/^go +version +orders +postgresql 17\.10, as pinned \(17\.10\) \([\d.]+ ms\)$/m)
    expect(after.out.trimEnd()).toMatch(/^GO$/m)
    expectNoSecret(after)
  })

  test('as JSON is one report', async () => {
    const { code, out } = await portside(['preflight', ...declared, '--json'])
    const report = JSON.parse(out) as PreflightReport
    expect([code, report.go]).toEqual([0, true])
    // What programs read: a name that changes is another format. What is undefined is left out.
    expect(Object.keys(report)).toEqual(['format', 'go', 'startedAt', 'durationMs', 'steps'])
    expect(report.format).toBe(1)
    const version = report.steps.find(({ rung, service }) => rung === 'version' && service === 'orders')
    expect(Object.keys(version ?? {})).toEqual(['rung', 'service', 'outcome', 'detail', 'durationMs'])
    expect(report.steps.every(({ outcome }) => outcome === 'go' || outcome === 'skipped')).toBe(true)
  })

  test('has an exit code for each rung', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as { port: number }
    closed.close()
    const wrong = new URL(orders.url)
    wrong.password = 'canary-wrong'
    const { password, host, pathname } = new URL(sessions.url)
    const admin = new Redis(sessions.url)
    await admin.call('ACL', 'SETUSER', 'no-ping', 'on', `>${password}`, '~*', '+@all', '-ping')
    onTestFinished(async () => {
      await admin.call('ACL', 'DELUSER', 'no-ping')
      admin.disconnect()
    })
    // Longer than a name's part may be, so that no server of names is asked.
    const nowhere = `postgres://user:canary-wrong@${'a'.repeat(64)}.invalid/orders`
    const cases: readonly [Readonly<Record<string, string>>, number][] = [
      [{ ORDERS_URL: '' }, 10],
      [{ SESSIONS_URL: 'redis://user:password@cache.invalid/0' }, 11],
      [{ ORDERS_URL: `postgres://user:canary-wrong@127.0.0.1:${port}/orders` }, 13],
      [{ TEST_PIN: '17.9' }, 14],
      [{ ORDERS_URL: String(wrong) }, 14],
      [{ ORDERS_URL: nowhere }, 12],
      [{ SESSIONS_URL: `redis://no-ping:${password}@${host}${pathname}` }, 15],
    ]
    for (const [more, code] of cases) {
      const ended = await portside(['preflight', ...declared], more)
      expect([Object.keys(more), ended.code]).toEqual([Object.keys(more), code])
      expect(ended.out + ended.err).not.toContain('canary-wrong')
      expectNoSecret(ended)
    }
  })

  test('waits no longer than it is told to, and ends on a signal, with all closed', async () => {
    // A server that takes connections and says nothing.
    const silent = createServer((socket) => void socket.on('error', () => {})).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as { port: number }
    const more = { SESSIONS_URL: `redis://127.0.0.1:${port}/0` }
    const late = await portside(['preflight', ...declared, '--timeout', '1500'], more)
    expect(late.code).toBe(14)
    expect(late.out).toMatch(/^NO-GO +version +sessions +timeout: /m)
    const running = execFile(process.execPath, [main, 'preflight', ...declared, '--timeout', '60000'], {
      cwd: folder,
      env: { ...process.env, ...env, ...more },
    })
    let out = ''
    running.stdout?.on('data', (part: string) => {
      out += part
    })
    await expect.poll(() => out, { timeout: 60_000 }).toMatch(/^go +tcp +sessions/m)
    running.kill('SIGINT')
    const [code] = await once(running, 'exit')
    expect(code).toBe(130)
    silent.close()
  })

  test.each([['--timeout', '0'], ['--timeout', 'soon'], ['surplus'], ['--unknown']])(
    '%s %s is wrong usage',
    async (...args) => {
      expect((await portside(['preflight', ...declared, ...args])).code).toBe(2)
    },
  )
})

describe('portside parity', () => {
  test('prints the table and the gaps, and ends well where nothing drifts', async () => {
    const ended = await portside(['parity', ...declared])
    expect({ code: ended.code, err: ended.err }).toEqual({ code: 0, err: '' })
    expect(ended.out).toMatch(
      /^orders +bounded +postgres +postgresql 17\.10 +postgresql 17\.10 +none +unverified$/m,
    )
    expect(ended.out).toMatch(/^sessions +bounded +redis +redis 7\.0 +redis 7\.0\.\d+ +none +unverified$/m)
    expect(ended.out).toMatch(/^mail +unbounded +fake +- +- +- +unverified$/m)
    expect(ended.out).toMatch(/^tools +Node v24/m)
    expect(ended.out).toMatch(/^personnel +not known; run "portside stamp"/m)
    expect(ended.out).toMatch(
      /^orders +needs pg_read_all_settings +setting\..*setting\.shared_preload_libraries$/m,
    )
    expectNoSecret(ended)
  })

  test('fails on drift from a pin, unless it is less than is asked for', async () => {
    const drifting = await portside(['parity', ...declared], { TEST_PIN: '17.9' })
    expect(drifting.code).toBe(1)
    expect(drifting.out).toMatch(/^medium +orders +version +postgresql 17\.9 +postgresql 17\.10$/m)
    expect((await portside(['parity', ...declared, '--fail-on', 'high'], { TEST_PIN: '17.9' })).code).toBe(0)
    expect((await portside(['parity', ...declared, '--fail-on', 'high'], { TEST_PIN: '16.4' })).code).toBe(1)
  })

  test('fails where a server does not answer, and still tells of the others', async () => {
    const ended = await portside(['parity', ...declared], { SESSIONS_URL: 'redis://127.0.0.1:1/0' })
    expect(ended.code).toBe(1)
    expect(ended.out).toMatch(/^sessions .*not known: unavailable/m)
    expect(ended.out).toMatch(/^orders .*postgresql 17\.10 +none/m)
    expect(ended.err).toMatch(/sessions: unavailable/)
  })

  test('holds services to evidence of an age, and knows where it is', async () => {
    const without = await portside(['parity', ...declared, '--max-age', '30d'])
    expect(without.code).toBe(1)
    expect(without.err).toMatch(/orders: unverified; run: portside verify orders$/m)
    expect(without.err).toMatch(/mail: unverified; run: portside verify mail where it is real$/m)
    const form = { contract: 'abc', portside: '0.1.0' }
    const date = new Date(Date.now() - 40 * 86_400_000).toISOString().slice(0, 10)
    for (const [subject, port, adapter, kind] of [
      ['orders', 'sql-database', 'postgres', 'real'],
      ['sessions', 'key-value-store', 'redis', 'real'],
      ['fake', 'mailer', undefined, 'fake'],
    ]) {
      writeFileSync(
        join(folder, `${subject}.json`),
        JSON.stringify({ ...form, subject, port, adapter, kind, date, behaviours: {} }),
      )
    }
    const old = await portside(['parity', ...declared, '--evidence', '.', '--max-age', '30d'])
    expect(old.code).toBe(1)
    expect(old.err).toMatch(/orders: its evidence is 40 days old; at most 30 are allowed/)
    const young = await portside(['parity', ...declared, '--evidence', '.', '--max-age', '40d'])
    expect({ code: young.code, err: young.err }).toEqual({ code: 0, err: '' })
    expect(young.out).toMatch(/^orders .* 40 days \(real\)$/m)
    const server = { product: 'postgresql', version: '17.9' }
    const other = { subject: 'orders', port: 'sql-database', adapter: 'postgres', kind: 'real', date, server }
    writeFileSync(join(folder, 'orders.json'), JSON.stringify({ ...form, ...other, behaviours: {} }))
    const elsewhere = await portside(['parity', ...declared, '--evidence', '.', '--max-age', '40d'])
    expect(elsewhere.code).toBe(1)
    expect(elsewhere.err).toMatch(/orders: its evidence is of version 17\.9, and 17\.10 runs/)
  })

  test('tells who wrote and deployed what was stamped, and how old it is', async () => {
    const git = (...args: readonly string[]): string =>
      execFileSync('git', args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' })
    git('init', '-q')
    const who = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org']
    git(...who, 'commit', '--allow-empty', '-q', '-m', 'first')
    const stamped = await portside(['stamp'])
    expect(stamped.code).toBe(0)
    expect(stamped.out).toMatch(
      /^portside-build\.json: commit [0-9a-f]{12}, 1 commits? \(all\) by 1 author$/m,
    )
    const { out } = await portside(['parity', ...declared], { PORTSIDE_DEPLOYER: 'Ada' })
    expect(out).toMatch(/^time +commit [0-9a-f]{12}, built \d+ seconds? after it; built \d+ seconds? ago$/m)
    expect(out).toMatch(/^personnel +written by Ada; deployed by Ada, who is one of them$/m)
    const other = await portside(['parity', ...declared], { PORTSIDE_DEPLOYER: 'Bob' })
    expect(other.out).toMatch(/deployed by Bob, who wrote none of it/)
  })

  test('diff finds what two environments differ in, worst first, and nothing in one with itself', async () => {
    const here = await portside(['parity', ...declared, '--json'])
    expect(here.code).toBe(0)
    expectNoSecret(here)
    const report = JSON.parse(here.out) as ParityReport
    expect(report.services[0]?.fingerprint?.facts.encoding?.value).toBe('UTF8')
    // What programs read, as for preflight.
    expect(Object.keys(report)).toEqual(['format', 'at', 'services', 'tools', 'drift'])
    expect(Object.keys(report.services[0] ?? {})).toEqual([
      'service',
      'port',
      'boundary',
      'implementation',
      'pin',
      'server',
      'fingerprint',
      'drift',
    ])
    writeFileSync(join(folder, 'a.json'), here.out)
    // Another environment: another version, an extension more, another policy, a fake where this one is real.
    const [first, second, third] = structuredClone(report).services as [never, never, never]
    Object.assign((first as { fingerprint: { facts: object } }).fingerprint.facts, {
      'extension.postgis': { value: '3.4', severity: 'high' },
      'setting.jit': { value: '', severity: 'low' },
    })
    Object.assign(second, { server: { engine: 'redis', version: '7.0.1' } })
    Object.assign(third, { implementation: 'smtp' })
    writeFileSync(join(folder, 'b.json'), JSON.stringify({ ...report, services: [first, second, third] }))
    const same = await portside(['parity', 'diff', 'a.json', 'a.json'])
    expect(same).toMatchObject({ code: 0, err: '' })
    // What an ordinary role may not read is named, not taken for the same.
    expect(same.out).toMatch(/^no drift in what is known\n/)
    const why = 'needs pg_read_all_settings'
    expect(same.out).toMatch(new RegExp(`^orders +setting\\.shared_preload_libraries +${why} +${why}$`, 'm'))
    expect((await portside(['parity', 'diff', 'a.json', 'a.json', '--fail-on', 'unknown'])).code).toBe(1)
    const differing = await portside(['parity', 'diff', 'a.json', 'b.json', '--json'])
    expect(differing.code).toBe(1)
    const { format, drift, unknown } = JSON.parse(differing.out) as ParityDiff
    expect(format).toBe(1)
    expect(unknown).toContainEqual({
      of: 'orders',
      what: 'setting.shared_preload_libraries',
      expected: why,
      found: why,
    })
    expect(drift.map(({ severity, of, what }) => `${severity} ${of} ${what}`)).toEqual([
      'high orders extension.postgis',
      'medium sessions version',
      'low orders setting.jit',
    ])
    const text = await portside(['parity', 'diff', 'a.json', 'b.json'])
    expect(text.out).toMatch(/^high +orders +extension\.postgis +absent +3\.4$/m)
    expect(text.out).toMatch(/^low +orders +setting\.jit +\S+ +""$/m)
  })

  test.each<[readonly string[], number, RegExp]>([
    [['diff', 'a.json'], 2, /compares two files/],
    [['diff', 'none.json', 'none.json'], 1, /none\.json: ENOENT/],
    [['diff', main, main], 1, /it is no JSON/],
    [['--fail-on', 'never'], 2, /--fail-on is high, medium or low/],
    [['--max-age', '3w'], 2, /--max-age is a number of days/],
    [['surplus'], 2, /surplus/],
  ])('%j ends with %i', async (args, code, message) => {
    const ended = await portside(['parity', ...(args[0] === 'diff' ? [] : declared), ...args])
    expect(ended.code).toBe(code)
    expect(ended.err).toMatch(message)
  })
})

describe('portside export', () => {
  test('prints, writes between marks, checks, and tells of drift', async () => {
    const printed = await portside(['export', 'compose', ...declared])
    expect(printed.code).toBe(0)
    expect(printed.out).toContain('image: "postgres:17.10"')
    const nothing = await portside(['export', '--check', ...declared])
    expect(nothing.code).toBe(1)
    expect(nothing.err).toMatch(/nothing is exported here/)
    const job = 'jobs:\n  test:\n    # portside:begin github\n    # portside:end\n    steps: []\n'
    writeFileSync(join(folder, 'ci.yml'), job)
    expect((await portside(['export', 'github', '--file', 'ci.yml', ...declared])).code).toBe(0)
    expect((await portside(['export', 'env', '--file', '.env.example', ...declared])).code).toBe(0)
    const written = readFileSync(join(folder, 'ci.yml'), 'utf8')
    expect(written).toMatch(/^jobs:\n {2}test:\n {4}# portside:begin github .*\n {4}services:\n {6}orders:\n/)
    expect(written).toMatch(/ {4}# portside:end\n {4}steps: \[\]\n$/)
    const check = ['export', 'github', '--file', 'ci.yml', '--check', ...declared]
    expect(await portside(check)).toEqual({ code: 0, out: 'ci.yml: as declared\n', err: '' })
    const drifted = await portside(check, { TEST_PIN: '17.9' })
    expect(drifted.code).toBe(1)
    expect(drifted.out).toBe('- image: "postgres:17.10"\n+ image: "postgres:17.9"\n')
    expect(drifted.err).toContain('portside export github --file ci.yml')
    // Of all usual files there is one.
    expect(await portside(['export', '--check', ...declared])).toMatchObject({
      code: 0,
      out: '.env.example: as declared\n',
    })
    expect((await portside(['export', '--check', ...declared], { TEST_PIN: '17.9' })).code).toBe(1)
  })

  test("leaves a person's own file alone where it has no marks", async () => {
    writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\n')
    const ended = await portside(['export', 'dockerfile', '--file', 'Dockerfile', ...declared])
    expect(ended.code).toBe(1)
    expect(ended.err).toMatch(/Dockerfile: it has no line "# portside:begin dockerfile"/)
    expect(readFileSync(join(folder, 'Dockerfile'), 'utf8')).toBe('FROM scratch\n')
  })

  test.each([[[]], [['yaml']], [['toString']], [['--check', '--file', 'x']], [['compose', 'surplus']]])(
    '%j is wrong usage',
    async (args) => {
      expect((await portside(['export', ...args, ...declared])).code).toBe(2)
    },
  )
})
