/**
 * The settings that every session of the adapter sets itself, as a session has them that sets none: psql, a job of
 * pg_cron, a program in another language. Two servers may differ in them though this app does not see it.
 */
import pg from 'pg'
import type { Fact, Fingerprint, Severity } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { refusalOf } from './fingerprint.ts'
import { clientConfig, isPooled } from './pool.ts'

const severities: Readonly<Record<string, Severity>> = {
  TimeZone: 'medium',
  DateStyle: 'medium',
  IntervalStyle: 'medium',
  bytea_output: 'low',
  extra_float_digits: 'low',
}

/** `fingerprint` with them. Takes a connection of its own for it, because one of the pool's has its own settings. */
export async function withServerDefaults(
  fingerprint: Fingerprint,
  url: ServiceUrl,
  service: string,
  signal: AbortSignal,
): Promise<Fingerprint> {
  const names = Object.keys(severities)
  const hidden = (why: string): Fingerprint => ({
    ...fingerprint,
    unknown: { ...fingerprint.unknown, server: why },
  })
  // The session that a pooler lends may have been another client's before.
  if (isPooled(url)) return hidden('a pooler is between')
  const { options: _, ...config } = clientConfig(url, service)
  const client = new pg.Client(config)
  // The failure shows in the query that it ends; unheard, this event would end the process.
  client.on('error', () => {})
  const onAbort = (): void => void client.connection.stream.destroy()
  if (signal.aborted) throw aborted(signal)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await client.connect()
    const { rows } = await client.query<{ name: string; setting: string }>(
      'SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1)',
      [names],
    )
    const found = rows.map(({ name, setting }): [string, Fact] => [
      `server.${name}`,
      { value: setting, severity: severities[name] ?? 'low' },
    ])
    const facts = [...Object.entries(fingerprint.facts), ...found].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return { ...fingerprint, facts: Object.fromEntries(facts) }
  } catch (error) {
    if (signal.aborted) throw aborted(signal)
    const { code } = error as { readonly code?: unknown }
    const why = code === '53300' ? 'there was no connection left to ask on' : refusalOf(error)
    if (why !== undefined) return hidden(why)
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    client.connection.stream.destroy()
  }
}

function aborted({ reason }: AbortSignal): unknown {
  return reason ?? new PortError({ code: 'cancelled', message: 'the question was aborted' })
}
