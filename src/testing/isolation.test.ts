/** What becomes of the datastores of tests that fail, hang or are killed, seen from outside: suites are run, and their reports read. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type OwnServer, startServer } from '../../contract-tests/servers.ts'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'portside-isolation-'))
let redis: OwnServer
beforeAll(async () => {
  redis = await startServer('redis', { durable: false })
})
afterAll(async () => {
  await redis.dispose()
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

interface Ran {
  readonly outcomes: Readonly<Record<string, string>>
  readonly output: string
}

function execute(args: readonly string[]): Promise<string> {
  const env = { ...process.env, TEST_POSTGRES_URL: inject('postgresUrl'), TEST_REDIS_URL: redis.adminUrl() }
  // Of this run: a child that finds them takes itself for a part of it.
  for (const name of Object.keys(env)) if (/^(VITEST|NODE_TEST)/.test(name)) Reflect.deleteProperty(env, name)
  return new Promise((resolve) => {
    // It fails, as it must: what counts is which tests did.
    execFile(process.execPath, args, { env, timeout: 100_000 }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
}

let runs = 0
async function runVitest(fixture: string): Promise<Ran> {
  runs += 1
  const report = join(folder, `${runs}.json`)
  const output = await execute([
    at('../../node_modules/vitest/vitest.mjs'),
    ...['run', '--config', at('fixtures/isolation/vitest.config.ts'), '--maxWorkers=1'],
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${report}`, fixture],
  ])
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
    testResults: readonly { assertionResults: readonly { title: string; status: string }[] }[]
  }
  const results = testResults.flatMap(({ assertionResults }) => assertionResults)
  return { output, outcomes: Object.fromEntries(results.map(({ title, status }) => [title, status])) }
}

async function runNode(fixture: string): Promise<Ran> {
  const output = await execute(['--test-reporter=tap', at(`fixtures/isolation/${fixture}`)])
  const results = [...output.matchAll(/^(ok|not ok) \d+ - (.*?)(?: # (SKIP|TODO).*)?$/gm)]
  return {
    output,
    outcomes: Object.fromEntries(results.map(([, ok = '', name = '', directive]) => [name, directive ?? ok])),
  }
}

/** The URLs of what is kept of a test, as its run printed them. */
function keptOf(output: string, service: string, name: string): string[] {
  const lines = output.matchAll(/^portside: (\w+) of the failed test "(.*)" is kept: (\S+)/gm)
  return [...lines].filter(([, of, by]) => of === service && by === name).map(([, , , url = '']) => url)
}

async function notesAt(url: string | undefined): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<{ text: string }>('select text from notes')).rows.map(({ text }) => text)
  } finally {
    await client.end()
  }
}

async function databases(): Promise<string[]> {
  const client = new pg.Client({ connectionString: inject('postgresUrl') })
  await client.connect()
  try {
    const { rows } = await client.query<{ datname: string }>('select datname from pg_database')
    return rows.map(({ datname }) => datname)
  } finally {
    await client.end()
  }
}

describe('a suite under vitest', () => {
  let ran: readonly Ran[]
  // Two at once, as in two terminals: neither may see what the other does.
  beforeAll(async () => {
    ran = await Promise.all([runVitest('suite.fixture.ts'), runVitest('suite.fixture.ts')])
  }, 120_000)

  test('passes no state on, though tests fail and outlast their time', () => {
    for (const { outcomes, output } of ran) {
      expect(outcomes, output).toEqual({
        'leaves things behind and fails': 'failed',
        'goes on writing after its time': 'failed',
        'waits for an answer beyond its time': 'failed',
        'reaches for the outside': 'failed',
        'fails at first': 'passed',
        'one at a time with another': 'passed',
        'another at a time with another': 'passed',
        'is to fail': 'passed',
        'finds nothing of those before it': 'passed',
      })
    }
  })

  test('keeps what a failed test leaves and says where it is', async () => {
    for (const { output } of ran) {
      const [url, ...more] = keptOf(output, 'notes', 'leaves things behind and fails')
      expect(more).toEqual([])
      expect(await notesAt(url)).toEqual(['failed'])
      expect(keptOf(output, 'sessions', 'leaves things behind and fails')).toHaveLength(1)
      expect(output).toContain('with its password, which is of use on this machine alone')
    }
  })

  test('keeps what a test leaves that reached for the outside', async () => {
    for (const { output } of ran) {
      const [url, ...more] = keptOf(output, 'notes', 'reaches for the outside')
      expect(more).toEqual([])
      expect(await notesAt(url)).toEqual(['outside'])
    }
  })

  test('begins anew where a test is tried again, and keeps what each try left that failed', async () => {
    for (const { output } of ran) {
      const [url, ...more] = keptOf(output, 'notes', 'fails at first')
      expect(more).toEqual([])
      expect(await notesAt(url)).toEqual(['tried'])
    }
  })

  test('keeps what a test leaves that ran out of time, as it was then', async () => {
    const [url] = keptOf(ran[0]?.output ?? '', 'notes', 'goes on writing after its time')
    const then = await notesAt(url)
    expect(new Set(then)).toEqual(new Set(['late']))
    expect(await notesAt(url)).toEqual(then)
  })

  test('waits for no answer that a test has waited for too long', async () => {
    for (const { output } of ran) {
      const [url] = keptOf(output, 'notes', 'waits for an answer beyond its time')
      expect(await notesAt(url)).toEqual([])
    }
  })

  test('keeps nothing of tests that are to fail', () => {
    for (const { output } of ran) expect(output).not.toContain('the failed test "is to fail"')
  })
})

test('a suite under vitest may share its datastores, never its fakes, and keeps them once', async () => {
  const { outcomes, output } = await runVitest('file.fixture.ts')
  expect(outcomes, output).toEqual({
    'finds the seed': 'passed',
    'finds what the first has left, but in new fakes': 'passed',
    fails: 'failed',
    'goes on writing after its time': 'failed',
    'hears no more of a test that has ended': 'passed',
  })
  const urls = keptOf(output, 'notes', 'fails')
  expect(urls).toHaveLength(1)
  expect(new Set(await notesAt(urls[0]))).toEqual(new Set(['first', 'kept', 'late', 'seed']))
}, 120_000)

test('what a killed worker had is swept by the next run', async () => {
  const { output } = await runVitest('killed.fixture.ts')
  const lost = /^lost (\S+)$/m.exec(output)?.[1]
  expect(lost, output).toBeDefined()
  expect(await databases()).toContain(lost)
  await runVitest('file.fixture.ts')
  expect(await databases()).not.toContain(lost)
}, 120_000)

describe('a suite under node:test', () => {
  let ran: Ran
  beforeAll(async () => {
    ran = await runNode('node.fixture.ts')
  }, 120_000)

  test('passes no state on, and reaches nothing outside', () => {
    expect(ran.outcomes, ran.output).toEqual({
      'leaves things behind and fails': 'not ok',
      'goes on writing after its time': 'not ok',
      'reaches for the outside': 'not ok',
      'expects to be refused': 'ok',
      'finds nothing of those before it': 'ok',
      'is skipped': 'SKIP',
      'is to be done': 'TODO',
    })
    expect(ran.output).toContain('fetch to 192.0.2.1:80')
  })

  test('keeps what failed tests leave and says where it is', async () => {
    const [failed] = keptOf(ran.output, 'notes', 'leaves things behind and fails')
    expect(await notesAt(failed)).toEqual(['failed'])
    const [late] = keptOf(ran.output, 'notes', 'goes on writing after its time')
    expect(new Set(await notesAt(late))).toEqual(new Set(['late']))
  })

  test('may share its datastores, never its fakes', async () => {
    const { outcomes, output } = await runNode('node-file.fixture.ts')
    expect(outcomes, output).toEqual({
      writes: 'ok',
      'finds what the first has left, but in new fakes': 'ok',
    })
  }, 120_000)
})
