import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { PortError } from '../src/errors.ts'
import {
  ageInDays,
  type Evidence,
  formatEvidence,
  readAllEvidence,
  readEvidence,
} from '../src/parity/evidence.ts'
import { type Behaviour, type Contract, defineContract } from './contract.ts'
import { contractHash, evidenceProblems, makeEvidence, writeEvidence } from './evidence.ts'
import { Lamp } from './fixtures/lamp.ts'
import type { BehaviourResult } from './run.ts'

const check = async (): Promise<void> => {}
const shines: Behaviour<Lamp> = { id: 'shines', sentence: 'It shines.', check }
const burns: Behaviour<Lamp> = { id: 'burns', sentence: 'It burns.', check, needs: ['server', 'force'] }
const dims: Behaviour<Lamp> = {
  id: 'dims',
  sentence: 'It dims.',
  check,
  capability: 'dimmer',
  undeclared: check,
}
const contract = defineContract(Lamp, [shines, burns, dims])
const divergence = {
  subject: 'lamp',
  behaviour: 'lamp/dims',
  difference: 'it goes out',
  reason: 'old',
  source: 'manual',
  expires: '2030-01-01',
}
const results: readonly BehaviourResult[] = [
  { id: 'lamp/shines', outcome: 'passed' },
  {
    id: 'lamp/burns',
    outcome: 'failed',
    error: new PortError({ code: 'unavailable', message: 'connect lamp.internal:1 refused' }),
  },
  { id: 'lamp/dims', outcome: 'diverged', divergence, error: new Error('dark') },
]

function made(change: Partial<Parameters<typeof makeEvidence<Lamp>>[0]> = {}): Evidence {
  return makeEvidence({
    contract,
    subject: 'lamp-on-mains',
    kind: 'real',
    adapter: 'bulb',
    server: { product: 'mains', version: '230' },
    results,
    portside: '1.2.3',
    date: new Date('2030-05-06T22:00:00Z'),
    ...change,
  })
}

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'portside-evidence-'))
}

describe('evidence', () => {
  test('says what was found of each behaviour, on what and when', () => {
    expect(made()).toEqual({
      port: 'lamp',
      subject: 'lamp-on-mains',
      kind: 'real',
      adapter: 'bulb',
      server: { product: 'mains', version: '230' },
      contract: contractHash(contract),
      date: '2030-05-06',
      portside: '1.2.3',
      behaviours: {
        'lamp/burns': { outcome: 'failed', reason: 'PortError unavailable', sentence: 'It burns.' },
        'lamp/dims': { outcome: 'diverged', reason: 'it goes out', sentence: 'It dims.' },
        'lamp/shines': { outcome: 'passed', sentence: 'It shines.' },
      },
    })
  })

  test('keeps nothing of an error but its kind', () => {
    expect(formatEvidence(made())).not.toContain('lamp.internal')
    const assertion = { ...results[1], error: new TypeError('at lamp.internal') } as BehaviourResult
    expect(made({ results: [assertion] }).behaviours['lamp/burns']).toMatchObject({ reason: 'TypeError' })
  })

  test('says of a behaviour that was not run that it was not', () => {
    expect(made({ results: [] }).behaviours['lamp/shines']).toMatchObject({
      outcome: 'skipped',
      reason: 'not run',
    })
  })

  test('of a behaviour that the contract does not have is refused', () => {
    const results: readonly BehaviourResult[] = [{ id: 'lamp/flies', outcome: 'passed' }]
    expect(() => made({ results })).toThrow(PortError)
  })

  test('is the same text in whatever order behaviours stand and ran, one line each', () => {
    const other = defineContract(Lamp, [dims, shines, burns])
    const text = formatEvidence(made())
    expect(formatEvidence(made({ contract: other, results: results.toReversed() }))).toBe(text)
    for (const { id } of contract.behaviours) {
      expect(text.split('\n').filter((line) => line.includes(`"lamp/${id}"`))).toHaveLength(1)
    }
    expect(text.endsWith('}\n')).toBe(true)
  })

  test('reads back as it was written, and nothing else is left in the folder', () => {
    const place = join(folder(), 'below')
    const path = writeEvidence(made(), place)
    expect(readEvidence(path)).toEqual(made())
    writeEvidence(made({ results: [] }), place)
    expect(readdirSync(place)).toEqual(['lamp-on-mains.json'])
    expect(readAllEvidence(place)).toEqual([made({ results: [] })])
    expect(readAllEvidence(join(place, 'nowhere'))).toEqual([])
  })

  test('of an empty contract reads back', () => {
    const empty = makeEvidence({
      ...{ contract: defineContract(Lamp, []), subject: 'lamp', kind: 'fake', results: [] },
      ...{ portside: '1', date: new Date() },
    })
    expect(JSON.parse(formatEvidence(empty))).toEqual(empty)
  })

  test.each<[string, (evidence: Record<string, unknown>) => unknown]>([
    ['is no object', () => []],
    ['has no port', (one) => ({ ...one, port: undefined })],
    ['has no contract', (one) => ({ ...one, contract: undefined })],
    ['is of no kind', (one) => ({ ...one, kind: 'dream' })],
    ['has a date that is none', (one) => ({ ...one, date: '2030-13-01' })],
    ['has an adapter that is no name', (one) => ({ ...one, adapter: 5 })],
    ['has a server without a version', (one) => ({ ...one, server: { product: 'mains' } })],
    ['has no behaviours', (one) => ({ ...one, behaviours: [] })],
    [
      'has an outcome that is none',
      (one) => ({ ...one, behaviours: { a: { outcome: 'ok', sentence: 'A.' } } }),
    ],
    ['has a behaviour without a sentence', (one) => ({ ...one, behaviours: { a: { outcome: 'passed' } } })],
  ])('that %s is refused', (_, spoil) => {
    const path = join(folder(), 'lamp.json')
    writeFileSync(path, JSON.stringify(spoil({ ...made() })))
    expect(() => readEvidence(path)).toThrow(PortError)
  })

  test('that was cut short is refused', () => {
    const path = writeEvidence(made(), folder())
    writeFileSync(path, readFileSync(path, 'utf8').slice(0, -20))
    expect(() => readEvidence(path)).toThrow(PortError)
  })
})

describe('the digest of a contract', () => {
  const of = (...behaviours: readonly Behaviour<Lamp>[]): string =>
    contractHash(defineContract(Lamp, behaviours))
  const before = of(shines, burns, dims)

  test('is the same in any order of behaviours and means, and whatever the code of a check is', () => {
    expect(of(dims, burns, shines)).toBe(before)
    expect(of(shines, { ...burns, needs: ['force', 'server'] }, dims)).toBe(before)
    expect(of({ ...shines, check: async (context) => void context.port }, burns, dims)).toBe(before)
  })

  test.each<[string, readonly Behaviour<Lamp>[]]>([
    ['a behaviour more', [shines, burns, dims, { ...shines, id: 'shines-on' }]],
    ['a behaviour less', [shines, burns]],
    ['another id', [{ ...shines, id: 'glows' }, burns, dims]],
    ['another sentence', [{ ...shines, sentence: 'It shines at once.' }, burns, dims]],
    ['other means', [shines, { ...burns, needs: ['server'] }, dims]],
    ['a capability', [{ ...shines, capability: 'dimmer', undeclared: check }, burns, dims]],
  ])('changes with %s', (_, behaviours) => expect(of(...behaviours)).not.toBe(before))
})

describe('evidence proves nothing', () => {
  const good = made({ results: [{ id: 'lamp/shines', outcome: 'passed' }] })
  const problems = (evidence: Evidence, now: string, current: Contract<Lamp> = contract) =>
    evidenceProblems(evidence, current, { maxAgeDays: 30, now: new Date(now) })

  test('unless it is young enough, of this contract and without failures', () => {
    expect(problems(good, '2030-05-06T23:00:00Z')).toEqual([])
    expect(problems(good, '2030-06-05T23:59:00Z')).toEqual([])
    expect(ageInDays(good, new Date('2030-06-05T00:00:00Z'))).toBe(30)
  })

  test.each<[string, () => readonly string[], RegExp]>([
    ['when it is too old', () => problems(good, '2030-06-06T00:00:00Z'), /31 days old; at most 30/],
    ['when it is of the future', () => problems(good, '2030-05-05T00:00:00Z'), /yet to come/],
    [
      'when the contract has changed',
      () => problems(good, '2030-05-07T00:00:00Z', defineContract(Lamp, [shines])),
      /has changed/,
    ],
    [
      'when nothing passed',
      () => problems(made({ results: [] }), '2030-05-07T00:00:00Z'),
      /none of its behaviours passed/,
    ],
    ['when behaviours failed', () => problems(made(), '2030-05-07T00:00:00Z'), /1 of its behaviours failed/],
  ])('%s', (_, found, message) => expect(found()).toEqual([expect.stringMatching(message)]))
})
