import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Adapter, DatastoreAdapter, DatastoreDriver, MigrationState } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { attach } from './attach.ts'
import { bounded, defineServices, type Services, unbounded } from './declare.ts'
import { preflight } from './preflight.ts'
import type { PreflightReport, PreflightStep } from './preflight-ladder.ts'

// Names are resolved without asking anyone.
vi.mock('node:dns/promises', () => ({
  lookup: async (name: string) => {
    if (name === 'silent.test') return new Promise(() => {})
    if (name === 'half.test') return ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
    if (name === 'local.test' || name === 'localhost') return [{ address: '127.0.0.1', family: 4 }]
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' })
  },
}))

interface Till {
  count(options?: CallOptions): Promise<number>
}
const Till: Port<Till> = definePort<Till>({
  name: 'till',
  operations: { count: { kind: 'call', effect: 'read', idempotent: true, arity: 0 } },
})

let log: string[]
let server: Server
let port: number
beforeEach(async () => {
  log = []
  server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as { port: number }).port
})
afterEach(() => {
  server.close()
})

type Parts = Partial<DatastoreDriver<Till>> & {
  readonly state?: MigrationState
  readonly opens?: () => void
}

function store(parts: Parts = {}): DatastoreAdapter<Till> {
  const { state, opens, ...rest } = parts
  return {
    name: 'store',
    port: Till,
    engine: 'tills',
    schemes: ['store'],
    example: 'store://user:example-password@host/name',
    parameters: {},
    endpoint: (url) => ({ host: url.host, port: url.port ?? 1 }),
    async open() {
      log.push('open')
      opens?.()
      return {
        calls: { count: async () => 1 },
        ping: async () => void log.push('ping'),
        close: async () => void log.push('close'),
        identify: async () => {
          log.push('identify')
          return { engine: 'tills', version: '2.1.4' }
        },
        ...rest,
      }
    },
    server: () => expect.fail('preflight starts no server'),
    ...(state && { migrationState: async () => state }),
  }
}

const web: Adapter<Till> = {
  name: 'web',
  port: Till,
  schemes: ['web'],
  example: 'web://host',
  parameters: {},
  open: async () => ({ calls: { count: async () => 1 }, ping: async () => {}, close: async () => {} }),
}
const fake = () => expect.fail('preflight loads no fake')

const declare = (parts?: Parts, migrations?: string): Services =>
  defineServices({
    first: bounded(Till, { adapter: store(parts), version: '2.1', ...(migrations && { migrations }) }),
  })

const urlTo = (host: string, at = port): string => `store://me:canary-secret@${host}:${at}/db`
const climb = (
  services: Services,
  url = urlTo('127.0.0.1'),
  options: Parameters<typeof preflight>[1] = {},
): Promise<PreflightReport> => preflight(services, { env: { FIRST_URL: url }, args: [], ...options })

const outcomes = ({ steps }: Pick<PreflightReport, 'steps'>): string[] =>
  steps.map(({ rung, outcome }) => `${rung}: ${outcome}`)
const failure = ({ steps }: PreflightReport): PreflightStep | undefined =>
  steps.find(({ outcome }) => outcome === 'no-go')

describe('preflight', () => {
  test('climbs every rung in order, tells each as it is done, and closes what it opened', async () => {
    const onStep = vi.fn()
    const state = { applied: ['0001_a'], pending: [], unknown: [] }
    const report = await climb(declare({ state }, './migrations'), urlTo('local.test'), { onStep })
    expect(outcomes(report)).toEqual([
      'config: go',
      'credentials: go',
      'dns: go',
      'tcp: go',
      'version: go',
      'operation: go',
      'migrations: go',
    ])
    expect(report).toMatchObject({ go: true, failed: undefined })
    expect(onStep.mock.calls.map(([step]) => step)).toEqual(report.steps)
    expect(log).toEqual(['open', 'identify', 'ping', 'close'])
    for (const { durationMs } of report.steps) expect(durationMs).toBeGreaterThanOrEqual(0)
  })

  test('says what it found, and never a secret', async () => {
    const report = await climb(declare(), urlTo('local.test'))
    expect(report.steps.map(({ detail }) => detail)).toEqual([
      '1 service is configured; externals are real',
      'a user and a password are given',
      'local.test is 127.0.0.1',
      `local.test:${port} accepts connections`,
      'tills 2.1.4, as pinned (2.1)',
      'store answers, and takes the credentials',
      'it has none',
    ])
    expect(JSON.stringify(report)).not.toContain('canary')
  })

  const refused = new PortError({ code: 'unauthenticated', message: 'wrong password canary-secret' })
  test.each<[string, Parts, string, string, string, RegExp]>([
    [
      'a password of the example',
      {},
      'store://u:example-password@local.test/x',
      'credentials',
      'unauthenticated',
      /example/,
    ],
    [
      'a file that is not there',
      {
        opens: () => {
          throw new PortError({ code: 'invalid-argument', message: 'caFile cannot be read' })
        },
      },
      'local',
      'credentials',
      'invalid-argument',
      /caFile/,
    ],
    [
      'a name that does not exist',
      {},
      'store://u:canary-secret@nowhere.test/x',
      'dns',
      'unavailable',
      /nowhere\.test/,
    ],
    [
      'a name server that is silent',
      {},
      'store://u:canary-secret@silent.test/x',
      'dns',
      'timeout',
      /silent\.test/,
    ],
    [
      'a port where nothing listens',
      {},
      'store://u:canary-secret@127.0.0.1:1/x',
      'tcp',
      'unavailable',
      /ECONNREFUSED/,
    ],
    [
      'another version',
      { identify: async () => ({ engine: 'tills', version: '3.0' }) },
      'local',
      'version',
      'precondition-failed',
      /tills 3\.0/,
    ],
    [
      'credentials that are refused',
      { identify: () => Promise.reject(refused) },
      'local',
      'version',
      'unauthenticated',
      /wrong password \*\*\*/,
    ],
    [
      'an operation that fails',
      { ping: () => Promise.reject(new Error('canary-secret')) },
      'local',
      'operation',
      'internal',
      /unexpected/,
    ],
    [
      'migrations that have not run',
      { state: { applied: ['0001_a'], pending: ['0002_b', '0003_c'], unknown: [] } },
      'local',
      'migrations',
      'precondition-failed',
      /2 migrations not run: 0002_b, 0003_c/,
    ],
  ])('stops at %s, and tries nothing above it', async (_, parts, url, rung, code, message) => {
    const timeoutMs = url.includes('silent') ? 50 : 10_000
    const report = await climb(declare(parts, './migrations'), url === 'local' ? undefined : url, {
      timeoutMs,
    })
    expect(report).toMatchObject({ go: false, failed: rung })
    expect(failure(report)).toMatchObject({
      rung,
      service: 'first',
      code,
      detail: expect.stringMatching(message),
    })
    const after = report.steps.slice(report.steps.findIndex((step) => step.outcome === 'no-go') + 1)
    expect(after.every(({ outcome }) => outcome === 'not-tried')).toBe(true)
    expect(JSON.stringify(report)).not.toContain('canary')
    expect(log.filter((line) => line === 'open').length).toBeGreaterThanOrEqual(
      log.filter((line) => line === 'close').length,
    )
  })

  test('goes where one of the addresses answers, and says which does not', async () => {
    const report = await climb(declare(), urlTo('half.test'))
    expect(report.steps.find(({ rung }) => rung === 'tcp')).toMatchObject({
      outcome: 'go',
      detail: `half.test:${port} accepts connections, but not at 127.0.0.2 (ECONNREFUSED)`,
    })
  })

  test('goes with a schema that is ahead of this release, and says so', async () => {
    const state = { applied: ['0001_a'], pending: [], unknown: ['0002_b'] }
    const report = await climb(declare({ state }, './migrations'))
    expect(report.go).toBe(true)
    expect(report.steps.at(-1)?.detail).toMatch(/ahead of this release by 1 migration: 0002_b/)
  })

  test('of a configuration with problems tells them all and touches nothing', async () => {
    const services = defineServices({ ...declare(), second: unbounded(Till, { adapters: [web], fake }) })
    const report = await preflight(services, { env: {}, args: [] })
    expect(outcomes(report)).toEqual(['config: no-go'])
    expect(report.steps[0]?.detail).toMatch(/FIRST_URL[\s\S]*SECOND_URL/)
    expect(log).toEqual([])
  })

  test('goes on with the other services where one fails, rung by rung', async () => {
    const services = defineServices({ ...declare(), other: declare().first as never })
    const env = { FIRST_URL: 'store://u:canary-secret@nowhere.test/x', OTHER_URL: urlTo('127.0.0.1') }
    const report = await preflight(services, { env, args: [] })
    expect(report).toMatchObject({ go: false, failed: 'dns' })
    const rungs = report.steps
      .filter(({ outcome }) => outcome === 'go')
      .map(({ rung, service }) => `${rung} ${service}`)
    expect(rungs).toEqual([
      'config undefined',
      'credentials first',
      'credentials other',
      'tcp other',
      'version other',
      'operation other',
    ])
  })

  test('tries no version and no port of what does not tell them, and nothing of a fake', async () => {
    const services = defineServices({ second: unbounded(Till, { adapters: [web], fake }) })
    const real = await preflight(services, { env: { SECOND_URL: 'web://b' }, args: [] })
    expect(outcomes(real)).toEqual([
      'config: go',
      'credentials: go',
      'dns: skipped',
      'tcp: skipped',
      'version: skipped',
      'operation: go',
      'migrations: skipped',
    ])
    const faked = await preflight(services, { env: { PORTSIDE_EXTERNALS: 'fake' }, args: [] })
    expect(outcomes(faked)).toEqual(['config: go', 'operation: skipped'])
    expect([real.go, faked.go]).toEqual([true, true])
  })

  test('ends at once when it is aborted, and closes what it opened', async () => {
    const stop = new AbortController()
    const ping = (): Promise<void> => new Promise(() => setTimeout(() => stop.abort(), 5))
    const report = await climb(declare({ ping }), undefined, { signal: stop.signal })
    expect(failure(report)).toMatchObject({ rung: 'operation', code: 'cancelled' })
    expect(log).toContain('close')
  })

  test('that was aborted before it began connects nowhere', async () => {
    const report = await climb(declare(), urlTo('local.test'), { signal: AbortSignal.abort() })
    expect(report.failed).toBe('dns')
    expect(failure(report)?.code).toBe('cancelled')
    expect(log).toEqual(['open', 'close'])
  })

  test('closes what it opened where a listener throws', async () => {
    const onStep = ({ rung }: PreflightStep): void => {
      if (rung === 'version') throw new Error('mine')
    }
    await expect(climb(declare(), undefined, { onStep })).rejects.toThrow('mine')
    expect(log).toEqual(['open', 'identify', 'close'])
  })

  test.each([{ timeoutMs: 0 }, { timeoutMs: Number.NaN }, { unknown: 1 }])('refuses %j', (options) =>
    expect(climb(declare(), undefined, options as never)).rejects.toMatchObject({ code: 'invalid-argument' }),
  )
})

describe('an attached app', () => {
  test('climbs the same ladder on what is open already, and leaves it open', async () => {
    const app = await attach(declare(), { env: { FIRST_URL: urlTo('local.test') }, args: [] })
    log = []
    const report = await app.preflight()
    expect(outcomes(report)).toEqual([
      'config: skipped',
      'credentials: skipped',
      'dns: go',
      'tcp: go',
      'version: go',
      'operation: go',
      'migrations: skipped',
    ])
    expect(log).toEqual(['identify', 'ping'])
    await app.close()
    expect((await app.preflight()).failed).toBe('version')
  })
})
