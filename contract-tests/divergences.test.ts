import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { contractOf } from '../src/cli/rooms.ts'
import { PortError } from '../src/errors.ts'
import { readAllEvidence } from '../src/parity/evidence.ts'
import { type Behaviour, type Contract, defineContract } from './contract.ts'
import {
  type Divergence,
  divergenceProblems,
  loadDivergences,
  parseDivergences,
  strayDivergences,
} from './divergences.ts'
import { Lamp, openLamp } from './fixtures/lamp.ts'
import { type BehaviourResult, runContract } from './run.ts'

const entry: Divergence = {
  subject: 'a-lamp',
  behaviour: 'lamp/shines',
  difference: 'it glows',
  reason: 'old lamps do',
  source: 'https://lamps.example/glow',
  expires: '2030-06-30',
}
const now = new Date('2030-06-30T23:59:59Z')
const tomorrow = new Date('2030-07-01T00:00:00Z')

const passes: Behaviour<Lamp>['check'] = async () => {}
const fails: Behaviour<Lamp>['check'] = () => Promise.reject(new Error('it glows'))
const subject = { name: 'A lamp', kind: 'fake', open: async () => openLamp() } as const

function contractOfLamps(
  check: Behaviour<Lamp>['check'],
  part: Partial<Behaviour<Lamp>> = {},
): Contract<Lamp> {
  return defineContract(Lamp, [
    { id: 'shines', sentence: 'It shines.', check, ...part },
    { id: 'burns', sentence: 'It burns.', check },
  ])
}

async function run(
  check: Behaviour<Lamp>['check'],
  divergences: readonly Divergence[],
  day: Date = now,
  part: Partial<Behaviour<Lamp>> = {},
): Promise<{ readonly results: readonly BehaviourResult[]; readonly problems: readonly string[] }> {
  const contract = contractOfLamps(check, part)
  const results = await runContract(contract, subject, { divergences, now: day })
  return { results, problems: divergenceProblems(contract, subject, divergences, results, day) }
}

describe('an entry', () => {
  test('makes the failure of its behaviour on its subject diverged, and no other', async () => {
    const { results, problems } = await run(fails, [entry])
    expect(results).toMatchObject([
      { id: 'lamp/shines', outcome: 'diverged', divergence: entry },
      { id: 'lamp/burns', outcome: 'failed' },
    ])
    expect(problems).toEqual([])
  })

  test.each([
    ['another subject', { subject: 'b-lamp' }],
    ['another behaviour', { behaviour: 'lamp/smokes' }],
    ['the same behaviour of another port', { behaviour: 'torch/shines' }],
  ])('for %s changes nothing', async (_, change) => {
    const { results } = await run(fails, [{ ...entry, ...change }])
    expect(results.map(({ outcome }) => outcome)).toEqual(['failed', 'failed'])
  })

  test('never makes a subject that does not open diverged', async () => {
    const closed = { ...subject, open: () => Promise.reject(new Error('dark')) }
    const results = await runContract(contractOfLamps(passes), closed, { divergences: [entry], now })
    expect(results.map(({ outcome }) => outcome)).toEqual(['failed', 'failed'])
  })

  test('holds on its last day and not on the next, and fails the run then', async () => {
    const { results, problems } = await run(fails, [entry], tomorrow)
    expect(results[0]).toMatchObject({ outcome: 'failed' })
    expect(problems).toMatchObject([expect.stringContaining('expired on 2030-06-30')])
  })

  test('whose behaviour passes fails the run, and the behaviour counts as passed', async () => {
    const { results, problems } = await run(passes, [entry])
    expect(results[0]).toEqual({ id: 'lamp/shines', outcome: 'passed' })
    expect(problems).toMatchObject([expect.stringContaining('the behaviour passes')])
  })

  test('whose behaviour is skipped fails the run', async () => {
    const { problems } = await run(fails, [entry], now, { needs: ['server'] })
    expect(problems).toMatchObject([expect.stringContaining('is skipped')])
  })

  test('for another subject or port is not judged by this run', async () => {
    expect((await run(passes, [{ ...entry, subject: 'b-lamp' }])).problems).toEqual([])
    expect((await run(passes, [{ ...entry, behaviour: 'torch/shines' }])).problems).toEqual([])
  })

  test('that names what there is not is told', () => {
    const known = { behaviours: new Set(['lamp/shines']), subjects: new Set(['a-lamp']) }
    expect(strayDivergences([entry], known)).toEqual([])
    const stray = [
      { ...entry, subject: 'nobody' },
      { ...entry, behaviour: 'lamp/flies' },
    ]
    expect(strayDivergences(stray, known)).toEqual([
      'there is no subject nobody that could diverge',
      'there is no behaviour lamp/flies to diverge from',
    ])
  })
})

describe('a file of entries', () => {
  test('gives them as they stand there', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'portside-divergences-')), 'divergences.json')
    writeFileSync(file, JSON.stringify([entry]))
    expect(loadDivergences(file)).toEqual([entry])
    expect(() => loadDivergences(`${file}.gone`)).toThrow('ENOENT')
  })

  test.each<[string, unknown]>([
    ['no array', {}],
    ['what is no object', [1]],
    ['a field too many', [{ ...entry, until: 'ever' }]],
    ...(['subject', 'behaviour', 'difference', 'reason', 'source', 'expires'] as const).flatMap(
      (field): [string, unknown][] => [
        [`no ${field}`, [{ ...entry, [field]: undefined }]],
        [`an empty ${field}`, [{ ...entry, [field]: ' ' }]],
      ],
    ),
    ['a day that is none', [{ ...entry, expires: '2030-02-30' }]],
    ['a time for a day', [{ ...entry, expires: '2030-06-30T12:00:00Z' }]],
    ['the same entry twice', [entry, { ...entry, reason: 'another' }]],
  ])('with %s is refused', (_, entries) => {
    expect(() => parseDivergences(JSON.stringify(entries))).toThrow(PortError)
  })

  test('that is no JSON is refused', () => expect(() => parseDivergences('[')).toThrow(PortError))
})

/** The ids that the tests here give their subjects: one that no evidence was recorded of yet may diverge too. */
function idsInTests(): readonly string[] {
  const files = readdirSync(import.meta.dirname).filter((name) => /\.(test|setup)\.ts$/.test(name))
  return files.flatMap((name) => {
    // The one that real-s3/run.sh starts is named by it.
    const text = readFileSync(join(import.meta.dirname, name), 'utf8').replace(/\$\{product\}/g, 'ceph-rgw')
    return [...text.matchAll(/\bid: .*?['`]([a-z0-9-]+-on-[a-z0-9-]+)['`]/g)].map(([, id = '']) => id)
  })
}

test('the entries of this repository name behaviours and subjects that there are, and none has expired', async () => {
  const divergences = loadDivergences(new URL('./divergences.json', import.meta.url))
  const evidence = readAllEvidence(join(import.meta.dirname, 'evidence'))
  const ports = new Set(divergences.map(({ behaviour }) => behaviour.split('/')[0] ?? ''))
  const contracts = await Promise.all([...ports].map((port) => contractOf(port)))
  const behaviours = contracts.flatMap((contract) =>
    (contract?.behaviours ?? []).map(({ id }) => `${contract?.port.name}/${id}`),
  )
  const known = {
    behaviours: new Set(behaviours),
    subjects: new Set([...evidence.map(({ subject: id }) => id), ...idsInTests()]),
  }
  expect(strayDivergences(divergences, known)).toEqual([])
  const today = new Date().toISOString().slice(0, 10)
  expect(divergences.filter(({ expires }) => expires < today)).toEqual([])
})
