/** What the fingerprint of a real server tells, and that it tells of each change. */
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FreshPlace, freshPostgres, type OwnServer, startServer } from '../../contract-tests/servers.ts'
import type { Fingerprint } from '../../src/adapter.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { postgres } from './index.ts'

async function fingerprintOf(url: string): Promise<Fingerprint> {
  const parsed = ServiceUrl.parse(url, postgres.parameters)
  if (!('url' in parsed)) throw new Error('no URL')
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  try {
    const found = await driver.fingerprint?.({ signal: AbortSignal.timeout(20_000) })
    if (found === undefined) throw new Error('no fingerprint')
    return found
  } finally {
    await driver.close()
  }
}

const valuesOf = ({ facts }: Fingerprint): Record<string, string> =>
  Object.fromEntries(Object.entries(facts).map(([name, { value }]) => [name, value]))

/** Which facts differ, and how. */
function changes(before: Fingerprint, after: Fingerprint): Record<string, readonly (string | undefined)[]> {
  const [a, b] = [valuesOf(before), valuesOf(after)]
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()
  return Object.fromEntries(
    names.flatMap((name) => (a[name] === b[name] ? [] : [[name, [a[name], b[name]]]])),
  )
}

async function as(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

let server: OwnServer
let url: string
beforeAll(async () => {
  server = await startServer('postgres', { durable: false })
  url = await server.provision('orders')
})
afterAll(() => server.dispose())

test('tells how text is stored and sorted, what is set, and what an ordinary role may do', async () => {
  const { facts, unknown } = await fingerprintOf(url)
  expect(valuesOf({ facts, unknown })).toMatchObject({
    encoding: 'UTF8',
    'collation.provider': 'builtin',
    'collation.locale': 'C.UTF-8',
    'extension.plpgsql': '1.0',
    'setting.TimeZone': 'UTC',
    'setting.default_transaction_isolation': 'read committed',
    'setting.standard_conforming_strings': 'on',
    'role.superuser': 'false',
    'role.bypass-row-security': 'false',
    'role.owns-database': 'true',
    'role.predefined': 'none',
    'replication.standby': 'false',
  })
  expect(facts.encoding?.severity).toBe('high')
  expect(facts['setting.jit']?.severity).toBe('low')
  expect(unknown).toHaveProperty('setting.shared_preload_libraries')
  expect(Object.keys(facts)).toEqual(Object.keys(facts).toSorted())
})

test('of the same database twice is the same', async () => {
  expect(changes(await fingerprintOf(url), await fingerprintOf(url))).toEqual({})
})

test('holds no secret of the server', async () => {
  expect(JSON.stringify(await fingerprintOf(url))).not.toContain(new URL(url).password)
})

test('tells of an extension, of a setting of the database or the role, and of a right', async () => {
  const before = await fingerprintOf(url)
  await as(
    server.adminUrl().replace(/\/[^/]*$/, '/orders'),
    'CREATE EXTENSION pgcrypto',
    'ALTER DATABASE orders SET statement_timeout = 5000',
    "ALTER ROLE orders SET default_transaction_isolation = 'serializable'",
    'ALTER ROLE orders BYPASSRLS CREATEDB CONNECTION LIMIT 50',
    'GRANT pg_monitor TO orders',
  )
  const found = changes(before, await fingerprintOf(url))
  expect(found).toEqual({
    'extension.pgcrypto': [undefined, expect.stringMatching(/^1\./)],
    'role.bypass-row-security': ['false', 'true'],
    'role.connection-limit': ['-1', '50'],
    'role.create-database': ['false', 'true'],
    'role.predefined': ['none', expect.stringContaining('pg_monitor')],
    'setting.default_transaction_isolation': ['read committed', 'serializable'],
    'setting.statement_timeout': ['0 × ms', '5000 × ms'],
    // pg_monitor may read them.
    'setting.session_preload_libraries': expect.anything(),
    'setting.shared_preload_libraries': expect.anything(),
  })
})

test("tells the server's own time zone and formats, which sessions of the adapter do not show", async () => {
  const place = await server.provision('zones')
  const before = await fingerprintOf(place)
  expect(valuesOf(before)).toMatchObject({ 'server.TimeZone': 'UTC', 'setting.TimeZone': 'UTC' })
  await as(
    server.adminUrl(),
    "ALTER DATABASE zones SET timezone = 'Asia/Kathmandu'",
    "ALTER DATABASE zones SET datestyle = 'German'",
  )
  expect(changes(before, await fingerprintOf(place))).toEqual({
    'server.TimeZone': ['UTC', 'Asia/Kathmandu'],
    'server.DateStyle': ['ISO, MDY', 'German, DMY'],
  })
})

test('names the parts that the role may not read at all, and tells the rest', async () => {
  const place = await server.provision('secretive')
  await as(
    server.adminUrl().replace(/\/[^/]*$/, '/secretive'),
    'REVOKE SELECT ON pg_catalog.pg_settings, pg_catalog.pg_extension, pg_catalog.pg_publication FROM PUBLIC',
  )
  const { facts, unknown } = await fingerprintOf(place)
  const why = 'the role may not read it'
  expect(unknown).toEqual({
    setting: why,
    server: why,
    extension: why,
    replication: why,
    'libc.version': 'no collation of the server tells it',
  })
  expect(valuesOf({ facts, unknown })).toMatchObject({ encoding: 'UTF8', 'role.superuser': 'false' })
  expect(Object.keys(facts).filter((name) => /^(setting|server|extension|replication)\./.test(name))).toEqual(
    [],
  )
})

test('names what takes a second connection where the role may have but one', async () => {
  const place = await server.provision('narrow')
  await as(server.adminUrl(), 'ALTER ROLE narrow CONNECTION LIMIT 1')
  const { facts, unknown } = await fingerprintOf(place)
  expect(unknown.server).toBe('there was no connection left to ask on')
  expect(facts['setting.TimeZone']?.value).toBe('UTC')
})

test('drifts where a library sorts otherwise than it did, and where a setting waits for a restart', async () => {
  const place = await server.provision('upgraded')
  const at = server.adminUrl().replace(/\/[^/]*$/, '/upgraded')
  expect((await fingerprintOf(place)).drift).toEqual([])
  await as(
    at,
    "CREATE COLLATION used (provider = icu, locale = 'de')",
    "CREATE COLLATION unused (provider = icu, locale = 'de')",
    'CREATE TABLE names (name text COLLATE used)',
    "UPDATE pg_catalog.pg_collation SET collversion = '1.1' WHERE collname IN ('used', 'unused')",
    "UPDATE pg_catalog.pg_database SET datcollversion = '0.9' WHERE datname = 'upgraded'",
    'ALTER SYSTEM SET max_connections = 37',
    'SELECT pg_reload_conf()',
  )
  // The server reads its files when it gets to it.
  await expect.poll(async () => (await fingerprintOf(place)).drift, { timeout: 20_000 }).toHaveLength(3)
  const { drift, facts } = await fingerprintOf(place)
  expect(drift).toEqual([
    { severity: 'high', what: 'collation.version', expected: '0.9', found: facts['collation.actual']?.value },
    { severity: 'high', what: 'collation.used', expected: '1.1', found: expect.stringMatching(/^\d/) },
    {
      severity: 'low',
      what: 'setting.max_connections',
      expected: "as the server's files say",
      found: `${facts['setting.max_connections']?.value} until it is restarted`,
    },
  ])
  await as(at, 'ALTER SYSTEM RESET max_connections', 'SELECT pg_reload_conf()')
})

test('tells two encodings and collations apart', async () => {
  await as(
    server.adminUrl(),
    "CREATE DATABASE other OWNER orders TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
  )
  const found = changes(await fingerprintOf(url), await fingerprintOf(url.replace(/\/[^/]*$/, '/other')))
  expect(found).toMatchObject({
    encoding: ['UTF8', 'LATIN1'],
    'collation.provider': ['builtin', 'libc'],
    'collation.locale': ['C.UTF-8', undefined],
  })
})

test('asked with an aborted signal asks nothing', async () => {
  const place: FreshPlace = await freshPostgres()
  const parsed = ServiceUrl.parse(place.url, postgres.parameters)
  if (!('url' in parsed)) throw new Error('no URL')
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  await expect(driver.fingerprint?.({ signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop')
  await driver.close()
  await place.drop()
})
