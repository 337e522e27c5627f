import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PortError } from '../errors.ts'
import { type BuildInfo, deployerVariable, toolsHere } from './build.ts'
import { formatEvidence } from './evidence.ts'
import { makeParityReport, type ParityOptions, type ParityReport, type ParitySubject } from './report.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-parity-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function subject(fields: Partial<ParitySubject> = {}, version = '17.10'): ParitySubject {
  return {
    service: 'orders',
    port: 'sql-database',
    boundary: 'bounded',
    implementation: 'postgres',
    pin: '17.10',
    engine: 'postgresql',
    ask: {
      identify: async () => ({ engine: 'postgresql', version }),
      fingerprint: async () => ({ facts: { encoding: { value: 'UTF8', severity: 'high' } }, unknown: {} }),
    },
    ...fields,
  }
}
const fake: ParitySubject = {
  service: 'mail',
  port: 'mailer',
  boundary: 'unbounded',
  implementation: 'fake',
  pin: undefined,
}

const make = (
  subjects: readonly ParitySubject[],
  options: ParityOptions & { readonly bootedAt?: Date } = {},
): Promise<ParityReport> =>
  makeParityReport(subjects, {
    evidence: join(folder, 'evidence'),
    build: join(folder, 'build.json'),
    bootedAt: undefined,
    ...options,
  })

describe('the services of a report', () => {
  test('are what is declared, what runs and how the two differ', async () => {
    const { services, drift, tools } = await make([subject({}, '17.9'), fake])
    expect(services).toEqual([
      {
        service: 'orders',
        port: 'sql-database',
        boundary: 'bounded',
        implementation: 'postgres',
        pin: 'postgresql 17.10',
        server: { engine: 'postgresql', version: '17.9' },
        fingerprint: { facts: { encoding: { value: 'UTF8', severity: 'high' } }, unknown: {} },
        drift,
        evidence: undefined,
        problem: undefined,
      },
      expect.objectContaining({ service: 'mail', implementation: 'fake', server: undefined, drift: [] }),
    ])
    expect(drift).toEqual([
      {
        severity: 'medium',
        of: 'orders',
        what: 'version',
        expected: 'postgresql 17.10',
        found: 'postgresql 17.9',
      },
    ])
    expect(tools.servers).toEqual({ orders: 'postgresql 17.9' })
  })

  test.each([
    ['17.10', undefined],
    ['17.9', 'medium'],
    ['16.10', 'high'],
  ])('at version %s drift: %s', async (version, severity) => {
    expect((await make([subject({}, version)])).drift[0]?.severity).toBe(severity)
  })

  test('that do not answer are in it with their problem, and the others with theirs', async () => {
    const down = new PortError({ code: 'unavailable', message: 'nobody listens' })
    const ask = { identify: () => Promise.reject(down), fingerprint: async () => undefined }
    const { services } = await make([subject({ service: 'down', ask }), subject()])
    expect(services).toMatchObject([
      { service: 'down', problem: { code: 'unavailable', message: 'nobody listens' }, server: undefined },
      { service: 'orders', problem: undefined, server: { version: '17.10' } },
    ])
  })

  test('that tell their version and then no more keep what was told', async () => {
    const refused = new PortError({ code: 'permission-denied', message: 'no right' })
    const identify = async () => ({ engine: 'postgresql', version: '16.10' })
    const ask = { identify, fingerprint: () => Promise.reject(refused) }
    const { services, drift, tools } = await make([subject({ ask })])
    expect(services).toMatchObject([
      { server: { version: '16.10' }, fingerprint: undefined, problem: { code: 'permission-denied' } },
    ])
    expect(drift).toMatchObject([{ severity: 'high', what: 'version' }])
    expect(tools.servers).toEqual({ orders: 'postgresql 16.10' })
  })

  test('drift also from what they should be by their own account, worst first', async () => {
    const stale = { severity: 'high', what: 'collation.version', expected: '2.31', found: '2.36' } as const
    const ask = {
      identify: async () => ({ engine: 'postgresql', version: '17.9' }),
      fingerprint: async () => ({ facts: {}, unknown: {}, drift: [stale] }),
    }
    const { services, drift } = await make([subject({ ask })])
    expect(drift).toEqual([
      { ...stale, of: 'orders' },
      expect.objectContaining({ severity: 'medium', what: 'version' }),
    ])
    expect(services[0]?.drift).toEqual(drift)
  })

  test('are asked with the signal and the deadline that the caller gives', async () => {
    const identify = vi.fn(async () => ({ engine: 'postgresql', version: '17.10' }))
    const { signal } = new AbortController()
    await make([subject({ ask: { identify, fingerprint: async () => undefined } })], { signal, timeoutMs: 5 })
    expect(identify).toHaveBeenCalledWith({ signal, timeoutMs: 5 })
  })

  test.each([{ evidence: 5 }, { build: 5 }, { unknown: 1 }])(
    'are not asked where options are %j',
    (options) =>
      expect(make([subject()], options as never)).rejects.toMatchObject({ code: 'invalid-argument' }),
  )
})

describe('the evidence in a report', () => {
  const daysAgo = (days: number): string =>
    new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10)

  function write(name: string, days: number, fields: object = {}): void {
    mkdirSync(join(folder, 'evidence'), { recursive: true })
    const text = formatEvidence({
      port: 'sql-database',
      subject: name,
      kind: 'real',
      adapter: 'postgres',
      server: { product: 'postgresql', version: '17.10' },
      contract: 'abc',
      date: daysAgo(days),
      portside: '0.1.0',
      behaviours: {
        'sql-database/a': { outcome: 'passed', sentence: 'a' },
        'sql-database/b': { outcome: 'failed', reason: 'Error', sentence: 'b' },
      },
      ...fields,
    })
    writeFileSync(join(folder, 'evidence', `${name}.json`), text)
  }
  const evidenceOf = async (one: ParitySubject): Promise<unknown> => (await make([one])).services[0]?.evidence

  test("is the service's own, with its age and what came out", async () => {
    write('orders', 12)
    write('other', 3)
    expect(await evidenceOf(subject())).toEqual({
      subject: 'orders',
      kind: 'real',
      adapter: 'postgres',
      server: { product: 'postgresql', version: '17.10' },
      date: daysAgo(12),
      ageDays: 12,
      counts: { passed: 1, failed: 1 },
    })
  })

  test('is else the newest of the same port, kind and adapter, and never of another', async () => {
    write('older', 9)
    write('newer', 2)
    write('mongo', 0, { adapter: 'mongo' })
    write('emulated', 0, { kind: 'emulator' })
    write('mailer', 0, { port: 'mailer' })
    expect(await evidenceOf(subject())).toMatchObject({ subject: 'newer', ageDays: 2 })
  })

  test('is rather of a server of the same engine than the newest', async () => {
    write('cluster', 0, { server: { product: 'postgresql-cluster', version: '17.10' } })
    write('single', 5)
    expect(await evidenceOf(subject())).toMatchObject({ subject: 'single', ageDays: 5 })
    expect(await evidenceOf(subject({ engine: 'postgresql-cluster' }))).toMatchObject({ subject: 'cluster' })
  })

  test("of someone else's service is the newest, whatever it says of itself", async () => {
    const smtp = { ...fake, implementation: 'smtp' }
    write('silent', 3, { port: 'mailer', adapter: 'smtp', server: undefined })
    write('exim', 1, { port: 'mailer', adapter: 'smtp', server: { product: 'exim', version: '4.96' } })
    expect(await evidenceOf(smtp)).toMatchObject({ subject: 'exim' })
  })

  test('of a fake is else that of the very service it stands for, and of no other', async () => {
    write('other', 0, { port: 'mailer', adapter: 'smtp' })
    expect(await evidenceOf(fake)).toBeUndefined()
    write('mail', 4, { port: 'mailer', adapter: 'smtp' })
    expect(await evidenceOf(fake)).toMatchObject({ subject: 'mail', kind: 'real', ageDays: 4 })
  })

  test("of a fake is a fake's", async () => {
    write('fake-mail', 1, { port: 'mailer', kind: 'fake', adapter: undefined, server: undefined })
    write('mail', 0, { port: 'mailer' })
    expect(await evidenceOf(fake)).toMatchObject({ subject: 'fake-mail', kind: 'fake', server: undefined })
  })

  test.each([
    'x',
    '{}',
    'null',
    '{"port":"p","subject":"s","kind":"odd","date":"2026-01-01","behaviours":{}}',
  ])('that is %s is refused, with the name of its file', async (text) => {
    mkdirSync(join(folder, 'evidence'))
    writeFileSync(join(folder, 'evidence', 'odd.json'), text)
    await expect(make([subject()])).rejects.toThrow(/odd\.json is no/)
  })
})

describe('the gaps', () => {
  const hour = 3_600_000
  const built = Date.now() - 5 * hour

  function stamp(fields: Partial<BuildInfo> = {}): void {
    const info: BuildInfo = {
      format: 1,
      commit: 'c0ffee',
      committedAt: new Date(built - 2 * hour).toISOString(),
      dirty: false,
      since: undefined,
      commits: 3,
      truncated: false,
      authors: [
        { name: 'Ada', email: 'ada@example.org', commits: 2 },
        { name: 'Bob', email: 'bob@example.org', commits: 1 },
      ],
      builtAt: new Date(built).toISOString(),
      deployer: undefined,
      tools: toolsHere(folder),
      ...fields,
    }
    writeFileSync(join(folder, 'build.json'), JSON.stringify(info))
  }

  test('of time and personnel are not known without a stamp, and nothing is guessed', async () => {
    const { time, personnel, tools, drift } = await make([])
    expect({ time, personnel, built: tools.built, drift }).toEqual({
      time: undefined,
      personnel: undefined,
      built: undefined,
      drift: [],
    })
    expect(tools.running.node).toBe(process.version)
  })

  test('of time are from commit to build to boot', async () => {
    stamp()
    const bootedAt = new Date(built + hour)
    const { time } = await make([], { bootedAt })
    expect(time).toMatchObject({
      commit: 'c0ffee',
      commitToBuildMs: 2 * hour,
      buildToBootMs: hour,
      bootedAt: bootedAt.toISOString(),
    })
    expect(time?.ageMs).toBeGreaterThanOrEqual(4 * hour)
    expect((await make([])).time).toMatchObject({ bootedAt: undefined, buildToBootMs: undefined })
  })

  test.each([
    [undefined, undefined],
    ['ada', true],
    ['BOB@example.org', true],
    ['Mallory', false],
  ])('of personnel: deployed by %s, one of the authors: %s', async (deployer, authorDeployed) => {
    stamp()
    const { personnel } = await make([], deployer === undefined ? {} : { deployer })
    expect(personnel).toEqual({ authors: ['Ada', 'Bob'], complete: true, deployer, authorDeployed })
    expect(JSON.stringify(personnel?.authors)).not.toContain('@')
  })

  test.each([
    ['Ada', true],
    ['Mallory', undefined],
  ])(
    'of personnel: deployed by %s, where not all authors are known: %s',
    async (deployer, authorDeployed) => {
      stamp({ truncated: true })
      const { personnel } = await make([], { deployer })
      expect(personnel).toMatchObject({ complete: false, authorDeployed })
    },
  )

  test('take the deployer of the release before that of the build', async () => {
    stamp({ deployer: 'Ada' })
    expect((await make([])).personnel?.deployer).toBe('Ada')
    vi.stubEnv(deployerVariable, 'Bob')
    expect((await make([])).personnel?.deployer).toBe('Bob')
  })

  test('of tools are drift, worst first', async () => {
    writeFileSync(join(folder, 'package-lock.json'), '{}')
    const tools = {
      node: 'v18.0.0',
      lockfile: { file: 'package-lock.json', sha256: 'other' },
      // The tools of tests are not in a release.
      packages: { pg: '7.0.0', portside: '0.0.1', 'a-runner-of-tests': '5.0.0' },
    }
    stamp({ tools, dirty: true })
    const { drift } = await make([subject({}, '17.9')])
    expect(drift.map(({ severity, of, what }) => `${severity} ${of} ${what}`)).toEqual([
      'high tools node',
      'medium orders version',
      'medium tools package-lock.json',
      'medium tools portside',
      'medium build commit',
    ])
  })
})
