/** The same contract on the same subject is the same under every runner: ids, outcomes, reasons. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readEvidence } from '../src/parity/evidence.ts'
import { contract } from './fixtures/runners/mail.ts'
import { readRuns, runsVariable } from './record.ts'
import type { BehaviourResult } from './run.ts'

const execute = promisify(execFile)
const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'portside-runners-'))
afterAll(() => rmSync(folder, { recursive: true, maxRetries: 5 }))

/** Runs Node until it ends, however; as a runner inside a runner would not tell of its own tests, without its sign. */
async function node(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const options = { env: { ...inherited, ...env }, maxBuffer: 1e8 }
  return execute(process.execPath, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (failed: { code: number; stdout: string; stderr: string }) => failed,
  )
}

interface Seen {
  readonly code: number
  /** By id: what the runner itself shows. */
  readonly shown: Readonly<Record<string, 'passed' | 'failed' | 'skipped'>>
  /** What was found, with reasons. */
  readonly found: readonly string[]
}

/** One line a behaviour, sorted. */
function lines(results: readonly BehaviourResult[]): readonly string[] {
  return results
    .map((result) => {
      const reason =
        'reason' in result ? result.reason : 'divergence' in result ? result.divergence.difference : ''
      return `${result.id} ${result.outcome} ${reason}`
    })
    .sort()
}

const coarse = { passed: 'passed', failed: 'failed', skipped: 'skipped', diverged: 'skipped' } as const
const idOf = (title: string): string => `mailer/${title.split(' — ')[0]}`

/** A test runner has a test of its own for the divergences; the command line tells of them in another way. */
const judgement = 'mailer/divergences'

function behavioursOf({ [judgement]: _, ...behaviours }: Seen['shown']): Seen['shown'] {
  return behaviours
}

async function underVitest(): Promise<Seen> {
  const [runs, report] = [join(folder, 'vitest'), join(folder, 'vitest.json')]
  const args = ['run', '--config', at('fixtures/runners/vitest.config.ts'), '--reporter=json']
  const { code } = await node([at('../node_modules/vitest/vitest.mjs'), ...args, `--outputFile=${report}`], {
    [runsVariable]: runs,
  })
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: { assertionResults: { title: string; status: string }[] }[]
  }
  const shown = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .map(({ title, status }) => [
      idOf(title),
      status === 'pending' || status === 'skipped' ? 'skipped' : (status as 'passed'),
    ])
  return { code, shown: Object.fromEntries(shown), found: lines(readRuns(runs)[0]?.results ?? []) }
}

async function underNodeTest(): Promise<Seen> {
  const runs = join(folder, 'node-test')
  const { code, stdout } = await node(['--test-reporter=tap', at('fixtures/runners/in-node-test.ts')], {
    [runsVariable]: runs,
  })
  const shown = [...stdout.matchAll(/^ {4}(ok|not ok) \d+ - (\S+) — .*?(# SKIP.*)?$/gm)].map(
    ([, ok, title = '', skip]) => [
      idOf(title),
      ok === 'not ok' ? 'failed' : skip === undefined ? 'passed' : 'skipped',
    ],
  )
  return { code, shown: Object.fromEntries(shown), found: lines(readRuns(runs)[0]?.results ?? []) }
}

interface Verified extends Seen {
  readonly evidence: string
}

async function underVerify(): Promise<Verified> {
  const { code, stdout, stderr } = await node([
    at('../src/cli/main.ts'),
    'verify',
    'mail',
    ...['--services', at('fixtures/runners/services.ts'), '--mail-url', 'memory://here'],
    ...[
      '--contract',
      at('fixtures/runners/mail.ts'),
      '--divergences',
      at('fixtures/runners/divergences.json'),
    ],
    ...['--out', join(folder, 'evidence'), '--json'],
  ])
  if (stdout === '') throw new Error(stderr)
  const { results, evidence } = JSON.parse(stdout) as {
    evidence: string
    results: { id: string; outcome: keyof typeof coarse; reason?: string }[]
  }
  return {
    code,
    evidence,
    shown: Object.fromEntries(results.map(({ id, outcome }) => [id, coarse[outcome]])),
    found: results
      .map(({ id, outcome, reason = '' }) => `${id} ${outcome} ${outcome === 'failed' ? '' : reason}`)
      .sort(),
  }
}

let seen: { readonly vitest: Seen; readonly nodeTest: Seen; readonly verify: Verified }
beforeAll(async () => {
  const [vitest, nodeTest, verify] = await Promise.all([underVitest(), underNodeTest(), underVerify()])
  seen = { vitest, nodeTest, verify }
})

describe('vitest, node:test and portside verify', () => {
  test('judge the divergences', () => {
    for (const { shown } of [seen.vitest, seen.nodeTest]) expect(shown[judgement]).toBe('passed')
  })

  test('run every behaviour, and each outcome is among them', () => {
    const ids = contract.behaviours.map(({ id }) => `mailer/${id}`).sort()
    for (const { shown } of Object.values(seen)) expect(Object.keys(behavioursOf(shown)).sort()).toEqual(ids)
    for (const outcome of ['passed', 'failed', 'skipped', 'diverged']) {
      expect(seen.verify.found.filter((line) => line.split(' ')[1] === outcome).length).toBeGreaterThan(0)
    }
  })

  test('find the same, for the same reasons', () => {
    expect(seen.vitest.found).toEqual(seen.verify.found)
    expect(seen.nodeTest.found).toEqual(seen.verify.found)
  })

  test('show the same, and fail', () => {
    expect(behavioursOf(seen.vitest.shown)).toEqual(seen.verify.shown)
    expect(behavioursOf(seen.nodeTest.shown)).toEqual(seen.verify.shown)
    expect(Object.values(seen).map(({ code }) => code)).toEqual([1, 1, 1])
  })

  test('leave evidence that says the same', () => {
    const { behaviours } = readEvidence(seen.verify.evidence)
    const found = Object.entries(behaviours)
      .map(([id, { outcome, reason = '' }]) => `${id} ${outcome} ${outcome === 'failed' ? '' : reason}`)
      .sort()
    expect(found).toEqual(seen.verify.found)
  })
})
