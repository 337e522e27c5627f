import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { expectPortError } from '../../contract-tests/expect.ts'
import { freshPostgres } from '../../contract-tests/servers.ts'
import type { MigrationReport } from '../../src/adapter.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { postgres } from './index.ts'

let directory: string
let place: Awaited<ReturnType<typeof freshPostgres>>

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'portside-migrations-'))
  place = await freshPostgres()
})
afterEach(async () => {
  await place.drop()
  await rm(directory, { recursive: true, force: true })
})

const write = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text)

async function migrate(
  options?: Parameters<NonNullable<typeof postgres.migrate>>[2],
): Promise<MigrationReport> {
  const parsed = ServiceUrl.parse(place.url, postgres.parameters)
  if (!('url' in parsed) || postgres.migrate === undefined) throw new Error('no URL')
  return postgres.migrate(parsed.url, directory, options)
}

async function ask(text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: place.url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

describe('migrations', () => {
  test('run in order of their number, once, and say which were applied', async () => {
    await write('0002_fill.sql', 'INSERT INTO seats VALUES (1), (2);\nINSERT INTO seats VALUES (3);')
    await write('0001_create.sql', 'CREATE TABLE seats (id int);')
    await write('.hidden', 'not one of them')
    const steps: string[] = []
    const report = await migrate({ onProgress: (step) => steps.push(step) })
    expect(report).toEqual({ applied: ['0001_create', '0002_fill'] })
    expect(steps).toEqual(['migrating 0001_create', 'migrating 0002_fill'])
    expect(await migrate()).toEqual({ applied: [] })
    await write('0010_more.sql', 'INSERT INTO seats VALUES (10)')
    expect(await migrate()).toEqual({ applied: ['0010_more'] })
    expect(await ask('SELECT count(*)::int AS count FROM seats')).toEqual([{ count: 4 }])
  })

  test('that are none resolve', async () => {
    expect(await migrate()).toEqual({ applied: [] })
  })

  test('started by three at once run once, and all three resolve', async () => {
    await write('0001_create.sql', 'CREATE TABLE seats (id int); SELECT pg_sleep(0.2)')
    await write('0002_fill.sql', 'INSERT INTO seats VALUES (1)')
    const reports = await Promise.all([migrate(), migrate(), migrate()])
    expect(reports.flatMap(({ applied }) => applied)).toEqual(['0001_create', '0002_fill'])
    expect(await ask('SELECT id FROM seats')).toEqual([{ id: 1 }])
  })

  test('started by three processes at first use run once, and all three succeed', async () => {
    await write('0001_create.sql', 'CREATE TABLE seats (id int); SELECT pg_sleep(0.2)')
    await write('0002_fill.sql', 'INSERT INTO seats VALUES (1)')
    const program = fileURLToPath(new URL('./fixtures/migrate.ts', import.meta.url))
    const runs = [1, 2, 3].map(() => promisify(execFile)(process.execPath, [program, place.url, directory]))
    const applied = (await Promise.all(runs)).map(({ stdout }) => JSON.parse(stdout) as string[])
    expect(applied.toSorted((a, b) => b.length - a.length)).toEqual([['0001_create', '0002_fill'], [], []])
    expect(await ask('SELECT id FROM seats')).toEqual([{ id: 1 }])
  })

  test('that fail are rolled back and named; those before stay, and mending it goes on from there', async () => {
    await write('0001_create.sql', 'CREATE TABLE seats (id int UNIQUE)')
    await write('0002_fill.sql', 'INSERT INTO seats VALUES (1); INSERT INTO seats VALUES (1)')
    await write('0003_never.sql', 'CREATE TABLE never ()')
    const error = await expectPortError(migrate(), 'already-exists', {
      subject: '0002_fill',
      operation: 'migrate',
    })
    expect(error.details).toMatchObject({ migration: '0002_fill', constraint: 'seats_id_key' })
    expect(error.message).toContain('0002_fill')
    expect(await ask('SELECT id FROM seats')).toEqual([])
    expect(await ask("SELECT to_regclass('never') AS never")).toEqual([{ never: null }])
    await write('0002_fill.sql', 'INSERT INTO seats VALUES (1)')
    expect(await migrate()).toEqual({ applied: ['0002_fill', '0003_never'] })
  })

  test('print nothing', async () => {
    const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation(() => {}),
    )
    try {
      await write('0001_wrong.sql', 'SELEC 1')
      await expectPortError(migrate(), 'invalid-argument')
      await write('0001_wrong.sql', 'SELECT 1')
      await migrate()
      for (const spy of spies) expect(spy).not.toHaveBeenCalled()
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
  })

  test('that come before one that has run are refused', async () => {
    await write('0002_second.sql', 'SELECT 1')
    await migrate()
    await write('0001_first.sql', 'SELECT 1')
    await expectPortError(migrate(), 'precondition-failed')
  })

  test.each([['1.sql'], ['create.sql'], ['0001_x.ts'], ["0001_a'b.sql"], ['README.md']])(
    'of a wrong name are refused before any I/O: %s',
    async (name) => {
      await write(name, 'SELECT 1')
      await expectPortError(migrate(), 'invalid-argument')
      expect(await ask("SELECT to_regclass('pgmigrations') AS t")).toEqual([{ t: null }])
    },
  )

  test('of one number, and a folder that is not there, are refused', async () => {
    await write('0001_a.sql', 'SELECT 1')
    await write('1_b.sql', 'SELECT 1')
    await expectPortError(migrate(), 'invalid-argument')
    await rm(directory, { recursive: true })
    await expectPortError(migrate(), 'invalid-argument')
  })

  test('end when aborted, and leave nothing', async () => {
    await write('0001_slow.sql', 'CREATE TABLE slow (); SELECT pg_sleep(600)')
    const abort = new AbortController()
    const running = migrate({ signal: abort.signal, onProgress: () => setTimeout(() => abort.abort(), 50) })
    await expectPortError(running, 'cancelled')
    expect(await ask("SELECT to_regclass('slow') AS slow")).toEqual([{ slow: null }])
    await expectPortError(migrate({ signal: AbortSignal.abort() }), 'cancelled')
  })
})

describe('the state of migrations', () => {
  async function state(): Promise<unknown> {
    const parsed = ServiceUrl.parse(place.url, postgres.parameters)
    if (!('url' in parsed)) throw new Error('no URL')
    return postgres.migrationState?.(parsed.url, directory)
  }

  test('tells what has run, what is pending, and what this folder does not have', async () => {
    await write('0002_fill.sql', 'INSERT INTO seats VALUES (1)')
    await write('0010_more.sql', 'INSERT INTO seats VALUES (2)')
    await write('0001_create.sql', 'CREATE TABLE seats (id int)')
    expect(await state()).toEqual({
      applied: [],
      pending: ['0001_create', '0002_fill', '0010_more'],
      unknown: [],
    })
    // Asking has made nothing.
    expect(await ask("SELECT to_regclass('public.pgmigrations') AS made")).toEqual([{ made: null }])
    await migrate()
    await rm(join(directory, '0002_fill.sql'))
    await write('0011_last.sql', 'SELECT 1')
    expect(await state()).toEqual({
      applied: ['0001_create', '0010_more'],
      pending: ['0011_last'],
      unknown: ['0002_fill'],
    })
  })

  test('is told while migrations are running', async () => {
    await write('0001_create.sql', 'CREATE TABLE seats (id int)')
    await migrate()
    await write('0002_slow.sql', 'SELECT pg_sleep(1)')
    const running = migrate()
    expect(await state()).toMatchObject({ pending: ['0002_slow'] })
    await running
  })

  test('of a folder that is not there is an invalid argument', async () => {
    await rm(directory, { recursive: true })
    await expectPortError(state(), 'invalid-argument')
  })
})
