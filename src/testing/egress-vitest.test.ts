/** What `testWith` makes of the guard, seen from outside: a suite with tests that must fail is run, and its report read. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly title: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

const run = promisify(execFile)
const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
let report: Report

beforeAll(async () => {
  const vitest = at('../../node_modules/vitest/vitest.mjs')
  const directory = await mkdtemp(join(tmpdir(), 'egress-vitest-'))
  const outputFile = join(directory, 'report.json')
  const args = [
    'run',
    '--config',
    at('fixtures/vitest.config.ts'),
    '--reporter=json',
    `--outputFile=${outputFile}`,
  ]
  try {
    // It fails, as it must: what counts is which tests did.
    await run(process.execPath, [vitest, ...args]).catch(() => undefined)
    report = JSON.parse(await readFile(outputFile, 'utf8')) as Report
  } finally {
    await rm(directory, { recursive: true, maxRetries: 5 })
  }
})

const fileOf = (name: string): Report['testResults'][number] => {
  const found = report.testResults.find((each) => each.name.endsWith(`/${name}`))
  if (found === undefined) throw new Error(`${name} did not run`)
  return found
}
const outcomes = (name: string): Record<string, string> =>
  Object.fromEntries(fileOf(name).assertionResults.map(({ title, status }) => [title, status]))

describe('testWith and the egress guard', () => {
  test('a test that tried to reach the outside fails, also when the app swallowed it', () => {
    expect(outcomes('egress.fixture.ts')).toEqual({
      'touches nothing': 'passed',
      swallows: 'failed',
      'expects the attempt': 'passed',
      'allows for itself': 'passed',
      'is not allowed what another test was': 'failed',
      'leaves something behind': 'passed',
    })
  })

  test('its failure names the route, the target and the line of the app', () => {
    const failed = fileOf('egress.fixture.ts').assertionResults.find(({ status }) => status === 'failed')
    const message = failed?.failureMessages.join('\n')
    expect(message).toContain('fetch to 192.0.2.1:80')
    expect(message).toMatch(/at report \(.*egress\.fixture\.ts:\d+/)
  })

  test('what tries after its test has ended fails the file', () => {
    const { status, message } = fileOf('egress.fixture.ts')
    expect(status).toBe('failed')
    expect(message).toContain('192.0.2.1:80')
  })

  test('an option allows hosts', () => {
    expect(outcomes('allowed.fixture.ts')).toEqual({
      'reaches what is allowed': 'passed',
      'and nothing else': 'passed',
    })
  })

  test('an option turns it off', () => {
    expect(outcomes('unguarded.fixture.ts')).toEqual({
      'has no guard': 'passed',
      'has one where it asks for it': 'passed',
    })
  })
})
