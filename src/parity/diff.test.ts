import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Fact, Severity } from '../adapter.ts'
import { checkReport, diffParity as compare } from './diff.ts'
import type { Drift, ParityReport, ServiceParity } from './report.ts'

const diffParity = (a: ParityReport, b: ParityReport): readonly Drift[] => compare(a, b).drift

const severities: readonly Severity[] = ['high', 'medium', 'low']

function service(fields: Partial<ServiceParity> = {}): ServiceParity {
  return {
    service: 'orders',
    port: 'sql-database',
    boundary: 'bounded',
    implementation: 'postgres',
    pin: 'postgresql 17.10',
    server: { engine: 'postgresql', version: '17.10' },
    fingerprint: { facts: {}, unknown: {} },
    drift: [],
    evidence: undefined,
    problem: undefined,
    ...fields,
  }
}

function report(services: readonly ServiceParity[], fields: Partial<ParityReport> = {}): ParityReport {
  return {
    format: 1,
    at: '2026-01-01T00:00:00.000Z',
    services,
    tools: {
      running: { node: 'v24.1.0', lockfile: undefined, packages: { portside: '0.1.0' } },
      built: undefined,
      servers: {},
    },
    time: undefined,
    personnel: undefined,
    drift: [],
    ...fields,
  }
}

const facts = (values: Readonly<Record<string, Fact>>): Partial<ServiceParity> => ({
  fingerprint: { facts: values, unknown: {} },
})
const mail = {
  service: 'mail',
  port: 'mailer',
  boundary: 'unbounded',
  pin: undefined,
  server: undefined,
} as const

describe('two environments', () => {
  test('that are the same show no drift, whenever they were asked', () => {
    const later = report([service()], { at: '2027-01-01T00:00:00.000Z' })
    expect(diffParity(report([service()]), later)).toEqual([])
  })

  test.each<[string, Partial<ServiceParity>, Severity, string]>([
    ['another minor version', { server: { engine: 'postgresql', version: '17.9' } }, 'medium', 'version'],
    ['another major version', { server: { engine: 'postgresql', version: '16.4' } }, 'high', 'version'],
    ['another engine', { server: { engine: 'yugabyte', version: '17.10' } }, 'high', 'version'],
    ['another pin', { pin: 'postgresql 16.4' }, 'high', 'pin'],
    ['another adapter', { implementation: 'pglite' }, 'high', 'implementation'],
    ['another boundary', { boundary: 'unbounded' }, 'high', 'boundary'],
    ['another fact', facts({ encoding: { value: 'LATIN1', severity: 'low' } }), 'low', 'encoding'],
    ['no answer', { problem: { code: 'unavailable', message: 'down' } }, 'high', 'server'],
  ])('drift by %s', (_, fields, severity, what) => {
    const drift = diffParity(report([service()]), report([service(fields)]))
    expect(drift).toEqual([expect.objectContaining({ severity, of: 'orders', what })])
  })

  test('drift where a service is in one alone', () => {
    expect(diffParity(report([service()]), report([]))).toEqual([
      { severity: 'high', of: 'orders', what: 'service', expected: 'declared', found: undefined },
    ])
  })

  test('drift though neither answered, since nothing is known of either', () => {
    const down = service({ problem: { code: 'timeout', message: 'slow' } })
    expect(diffParity(report([down]), report([down]))).toHaveLength(1)
  })

  test('are compared in what is declared though one does not answer', () => {
    const down = service({ pin: 'postgresql 16.4', problem: { code: 'timeout', message: 'slow' } })
    expect(diffParity(report([service()]), report([down]))).toEqual([
      expect.objectContaining({ what: 'pin', found: 'postgresql 16.4' }),
      { severity: 'high', of: 'orders', what: 'server', expected: 'answers', found: 'not known: timeout' },
    ])
  })

  test('do not drift by a fake here and the real service there, which is as it should be', () => {
    const fake = service({ ...mail, implementation: 'fake', fingerprint: undefined })
    const real = service({ ...mail, implementation: 'smtp', fingerprint: undefined })
    expect(diffParity(report([fake]), report([real]))).toEqual([])
    expect(diffParity(report([real]), report([{ ...real, implementation: 'resend' }]))).toMatchObject([
      { severity: 'medium', what: 'implementation' },
    ])
  })

  test('drift by what one login may not read only as far as worth knowing', () => {
    const seen = service(facts({ 'module.json': { value: '2', severity: 'high' } }))
    const hidden = service({ fingerprint: { facts: {}, unknown: { module: 'the user may not ask' } } })
    expect(diffParity(report([seen]), report([hidden]))).toEqual([
      {
        severity: 'low',
        of: 'orders',
        what: 'module.json',
        expected: '2',
        found: 'not known: the user may not ask',
      },
    ])
  })

  test('drift by what one may not read though the other has nothing of the kind', () => {
    const hidden = service({ fingerprint: { facts: {}, unknown: { module: 'the user may not ask' } } })
    expect(diffParity(report([service()]), report([hidden]))).toEqual([
      {
        severity: 'low',
        of: 'orders',
        what: 'module',
        expected: undefined,
        found: 'not known: the user may not ask',
      },
    ])
  })

  test('are never the same in what neither may read, though that is no drift', () => {
    const here = service({
      fingerprint: { facts: {}, unknown: { 'setting.ssl': 'hidden', module: 'no right' } },
    })
    const there = service({
      fingerprint: { facts: {}, unknown: { setting: 'refused', module: 'no command' } },
    })
    expect(compare(report([here]), report([there]))).toEqual({
      format: 1,
      drift: [],
      unknown: [
        { of: 'orders', what: 'module', expected: 'no right', found: 'no command' },
        { of: 'orders', what: 'setting.ssl', expected: 'hidden', found: 'refused' },
      ],
    })
  })

  test('drift by a fact that only one has, as badly as the fact matters', () => {
    const more = service(facts({ 'extension.postgis': { value: '3.4', severity: 'high' } }))
    expect(diffParity(report([service()]), report([more]))).toEqual([
      { severity: 'high', of: 'orders', what: 'extension.postgis', expected: undefined, found: '3.4' },
    ])
  })

  test('drift by their tools and by the commit that runs', () => {
    const time = { commit: 'a'.repeat(40) } as ParityReport['time']
    const running = {
      node: 'v22.0.0',
      lockfile: { file: 'package-lock.json', sha256: 'b' },
      packages: { portside: '0.2.0', vitest: '5.0.0' },
    }
    const other = report([], { time, tools: { running, built: undefined, servers: {} } })
    expect(diffParity(report([]), other).map(({ severity, what }) => `${severity} ${what}`)).toEqual([
      'high node',
      'medium portside',
      'low commit',
    ])
  })

  const broken = (fingerprint: unknown): unknown => report([{ ...service(), fingerprint } as ServiceParity])
  test.each([
    null,
    5,
    {},
    { format: 2, services: [] },
    { format: 1, services: [{}], tools: {} },
    broken(null),
    broken({ facts: [], unknown: {} }),
    broken({ facts: { encoding: null }, unknown: {} }),
    broken({ facts: { encoding: { value: 'UTF8', severity: 'odd' } }, unknown: {} }),
    broken({ facts: {}, unknown: { module: 1 } }),
  ])('are not compared by %j, which is no report', (value) =>
    expect(() => checkReport(value)).toThrow(/no parity report/),
  )
})

const anyFacts = fc.dictionary(
  fc.constantFrom('encoding', 'collation.version', 'setting.fsync', 'role.superuser'),
  fc.record({ value: fc.constantFrom('on', 'off', ''), severity: fc.constantFrom(...severities) }),
)
const anyReport = fc
  .array(
    fc.record({
      service: fc.constantFrom('orders', 'sessions', 'mail'),
      version: fc.constantFrom('17.10', '17.9', '16.1'),
      facts: anyFacts,
    }),
    { maxLength: 3 },
  )
  .map((all) =>
    report(
      all.map((one) =>
        service({
          service: one.service,
          server: { engine: 'postgresql', version: one.version },
          fingerprint: { facts: one.facts, unknown: {} },
        }),
      ),
    ),
  )

describe('the differences of any two reports', () => {
  test('are none with itself', () =>
    fc.assert(
      fc.property(anyReport, (one) => {
        expect(diffParity(one, one)).toEqual([])
      }),
    ))

  test('are the same from either side, turned round', () => {
    const key = (drift: object): string => JSON.stringify(Object.entries(drift).toSorted())
    fc.assert(
      fc.property(anyReport, anyReport, (a, b) => {
        const turned = diffParity(b, a).map((one) => ({ ...one, expected: one.found, found: one.expected }))
        expect(diffParity(a, b).map(key).toSorted()).toEqual(turned.map(key).toSorted())
      }),
    )
  })

  test('come worst first', () =>
    fc.assert(
      fc.property(anyReport, anyReport, (a, b) => {
        const found = diffParity(a, b).map(({ severity }) => severities.indexOf(severity))
        expect(found).toEqual(found.toSorted())
      }),
    ))

  test('survive being written and read as JSON', () =>
    fc.assert(
      fc.property(anyReport, anyReport, (a, b) => {
        const again = (one: ParityReport): ParityReport => JSON.parse(JSON.stringify(one)) as ParityReport
        expect(diffParity(again(a), again(b))).toEqual(diffParity(a, b))
      }),
    ))
})
