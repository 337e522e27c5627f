import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Evidence, readAllEvidence } from '../src/parity/evidence.ts'
import { type Behaviour, defineContract } from './contract.ts'
import { makeEvidence } from './evidence.ts'
import { builtInRows, fidelityTable, markers, standings, withTable } from './fidelity.ts'
import { Lamp } from './fixtures/lamp.ts'
import type { BehaviourResult } from './run.ts'

const behaviour = (id: string): Behaviour<Lamp> => ({ id, sentence: `It ${id}.`, check: async () => {} })
const contract = defineContract(Lamp, ['shines', 'burns', 'dims', 'lasts'].map(behaviour))
const row = { port: 'lamp', adapter: 'bulb', contract }
const entry = {
  subject: 'a',
  behaviour: 'lamp/dims',
  difference: 'it goes out',
  reason: 'old',
  source: 'manual',
}
const divergence = { ...entry, expires: '2030-01-01' }
const passed = (id: string): BehaviourResult => ({ id: `lamp/${id}`, outcome: 'passed' })

function evidence(change: Partial<Parameters<typeof makeEvidence<Lamp>>[0]>): Evidence {
  const made = { contract, subject: 'a', adapter: 'bulb', results: [], portside: '1' } as const
  return makeEvidence({ ...made, kind: 'real', date: new Date('2030-01-02'), ...change })
}

const real = evidence({
  server: { product: 'mains', version: '230' },
  results: [passed('shines'), { id: 'lamp/dims', outcome: 'diverged', divergence, error: undefined }],
})
const emulator = evidence({ kind: 'emulator', results: [passed('shines'), passed('burns'), passed('dims')] })

describe('a behaviour is', () => {
  const of = (...all: readonly Evidence[]): Record<string, string> => Object.fromEntries(standings(row, all))

  test('verified by a real server, else by an emulator only, else by none; what diverges is said first', () => {
    expect(of(real, emulator)).toEqual({
      'lamp/shines': 'real',
      'lamp/burns': 'emulator',
      'lamp/dims': 'diverged',
      'lamp/lasts': 'unverified',
    })
  })

  test.each<[string, Evidence]>([
    ['failed', evidence({ results: [{ id: 'lamp/shines', outcome: 'failed', error: undefined }] })],
    ['skipped', evidence({ results: [{ id: 'lamp/shines', outcome: 'skipped', reason: 'x' }] })],
    ['passed by another adapter', evidence({ adapter: 'led', results: [passed('shines')] })],
    ['passed by a fake alone', evidence({ kind: 'fake', results: [passed('shines')] })],
    [
      'passed when it promised something else',
      {
        ...real,
        behaviours: { 'lamp/shines': { outcome: 'passed', sentence: 'It glows.' } },
      },
    ],
  ])('unverified where it was %s', (_, one) => expect(of(one)['lamp/shines']).toBe('unverified'))
})

describe('the table', () => {
  test('says how many of each, by what and when', () => {
    expect(fidelityTable([row], [emulator, real]).split('\n').at(2)).toBe(
      '| `lamp` | `bulb` | 4 | 1 | 1 | 1 | 1 | our emulator (2030-01-02), mains 230 (2030-01-02) |',
    )
  })

  test('says unverified where no real server confirmed anything', () => {
    expect(fidelityTable([row], [emulator])).toContain('| 4 | **unverified** | 3 | 1 | 0 | our emulator')
    expect(fidelityTable([row], [])).toContain('| 4 | **unverified** | 0 | 4 | 0 | nothing |')
  })

  test('goes between its markers and changes nothing else', () => {
    const text = `a\n${markers[0]}\nold\n${markers[1]}\nb\n`
    expect(withTable(text, 'new\n')).toBe(`a\n${markers[0]}\nnew\n${markers[1]}\nb\n`)
    expect(withTable('a', 'new\n')).toBeUndefined()
  })
})

test('README says what the evidence says', async ({ skip }) => {
  const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8')
  if (!readme.includes(markers[0])) skip('README has no place for the table yet')
  const table = fidelityTable(await builtInRows(), readAllEvidence(join(import.meta.dirname, 'evidence')))
  expect(withTable(readme, table)).toBe(readme)
})

test('there is evidence of a real server for each datastore', () => {
  const all = readAllEvidence(join(import.meta.dirname, 'evidence'))
  for (const adapter of ['postgres', 'redis']) {
    const own = all.filter(
      (one) => one.adapter === adapter && one.kind === 'real' && one.server !== undefined,
    )
    expect(own.length).toBeGreaterThan(0)
  }
  for (const { subject, behaviours } of all) {
    const failed = Object.entries(behaviours).filter(([, { outcome }]) => outcome === 'failed')
    expect(failed.map(([id]) => `${id} on ${subject}`)).toEqual([])
  }
})
