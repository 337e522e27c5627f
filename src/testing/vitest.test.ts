import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, vi } from 'vitest'
import { postgres } from '../../adapters/postgres/index.ts'
import { redis } from '../../adapters/redis/index.ts'
import { smtp } from '../../adapters/smtp/index.ts'
import { KeyValueStore } from '../ports/key-value-store.ts'
import { Mailer } from '../ports/mailer.ts'
import { sql } from '../ports/sql.ts'
import { SqlDatabase } from '../ports/sql-database.ts'
import { bounded, defineServices, unbounded } from '../services/declare.ts'
import { attachForTest } from './index.ts'
import { testWith } from './vitest.ts'

const migrations = mkdtempSync(join(tmpdir(), 'portside-migrations-'))
writeFileSync(join(migrations, '0001_notes.sql'), 'create table notes (text text not null);')
afterAll(() => rmSync(migrations, { recursive: true, maxRetries: 5 }))

const services = defineServices({
  notes: bounded(SqlDatabase, { adapter: postgres, version: '17.10', migrations }),
  sessions: bounded(KeyValueStore, { adapter: redis, version: '7.0' }),
  mail: unbounded(Mailer, { adapters: [smtp], fake: () => import('../../fakes/mailer.ts') }),
})
// Of all tests of this run, and removed with it.
const directory = join(tmpdir(), 'portside-tests')
const test = testWith(services, { directory })
const mail = { from: 'a@example.com', to: ['b@example.com'], subject: 'Hello', text: 'Hello' }

describe('testWith', () => {
  // What the environment of whoever runs the tests happens to point at must never be written to.
  beforeAll(() => void vi.stubEnv('NOTES_URL', 'postgres://nobody:secret@192.0.2.1/production'))
  afterAll(() => void vi.unstubAllEnvs())

  // The same test twice: whichever comes second would find what the first has left.
  for (const time of ['first', 'second']) {
    test(`gives each test empty, migrated datastores and fakes of its own (${time})`, async ({
      app,
      fakes,
    }) => {
      expect(await app.notes.query(sql`select * from notes`)).toEqual([])
      expect(await app.sessions.get('session')).toBeUndefined()
      expect(fakes.mail.outbox).toHaveLength(0)
      await app.notes.execute(sql`insert into notes values (${time})`)
      await app.sessions.set('session', time)
      await app.mail.send(mail)
      fakes.mail.faults.always('send', { error: 'unavailable' })
      expect(fakes.mail.outbox).toHaveLength(1)
    })
  }

  test('runs the datastores at the pinned versions, as a role without further rights', async ({ app }) => {
    expect(app.describe().map(({ service, server }) => [service, server?.version.slice(0, 3)])).toEqual([
      ['notes', '17.'],
      ['sessions', '7.0'],
      ['mail', undefined],
    ])
    const { superuser } = await app.notes.one<{ superuser: boolean }>(
      sql`select rolsuper as superuser from pg_roles where rolname = current_user`,
    )
    expect(superuser).toBe(false)
  })
})

describe('attachForTest', () => {
  const only = defineServices({ mail: services.mail })

  test('attaches fakes, whatever the environment asks for', async () => {
    await using attached = await attachForTest(only, { env: { PORTSIDE_EXTERNALS: 'real' } })
    await attached.app.mail.send(mail)
    expect(attached.fakes.mail.outbox).toHaveLength(1)
  })

  test('refuses the URL of a real external service', async () => {
    const env = { MAIL_URL: 'smtp://user:secret@mail.example.com' }
    await expect(attachForTest(only, { env })).rejects.toMatchObject({ code: 'invalid-argument' })
  })
})
