/**
 * Behind a pooler in transaction mode (PgBouncer) each transaction, and each statement outside one, may run in
 * another session of the server. What the adapter does by itself fits: statements without a name, cursors and
 * savepoints inside a transaction, COPY as one statement, cancellation by the pooler's own key. Here is the rest:
 * the settings that every result depends on, and the statements that would leave something behind in a session
 * that the next client gets.
 */
import type pg from 'pg'
import { PortError } from '../../src/errors.ts'

/** What the pooler carries from session to session for its client, as of PgBouncer 1.18. */
const carried = ['client_encoding', 'DateStyle', 'TimeZone'] as const
/** What is as the server, the role or the pooler's `connect_query` has it, and must be this. */
const needed = { IntervalStyle: 'postgres', bytea_output: 'hex', extra_float_digits: '1' } as const

const agreeing = `SELECT set_config('client_encoding', 'UTF8', false), set_config('DateStyle', 'ISO, MDY', false),
  set_config('TimeZone', 'UTC', false), ${Object.keys(needed)
    .map((name) => `current_setting('${name}') AS "${name}"`)
    .join(', ')}`

/**
 * Sets what a startup parameter sets otherwise, once for a new connection.
 * @throws PortError `precondition-failed` where a setting is another that the pooler does not carry
 */
export async function agreeOnSettings(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const { rows } = await client.query<Readonly<Record<string, string>>>(agreeing)
  const wrong = Object.entries(needed).filter(([name, value]) => rows[0]?.[name] !== value)
  if (wrong.length === 0) return
  const settings = wrong.map(([name, value]) => `${name} = ${value}`).join(', ')
  throw new PortError({
    code: 'precondition-failed',
    outcome: 'not-applied',
    message: `sessions behind the pooler need ${settings}; set it with ALTER ROLE … SET, or in the pooler's connect_query`,
    details: { carried: carried.join(', ') },
  })
}

const lead = String.raw`^(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*`

const refusals: readonly (readonly [text: RegExp, instead: string])[] = [
  [
    new RegExp(`${lead}(?:set\\s+(?!local\\b|transaction\\b|constraints\\b)|reset\\b)`, 'i'),
    'use SET LOCAL in a transaction, or ALTER ROLE … SET',
  ],
  [new RegExp(`${lead}(?:un)?listen\\b`, 'i'), 'listen on a connection to the server itself'],
  [
    new RegExp(`${lead}(?:prepare|deallocate|discard|load)\\b`, 'i'),
    'prepare nothing: statements are sent with their values',
  ],
  [
    new RegExp(`${lead}declare\\b(?:.|\\n)*?\\bwith\\s+hold\\b`, 'i'),
    'use stream(), or a cursor without HOLD in a transaction',
  ],
  [
    new RegExp(
      `${lead}create\\s+(?:(?:local|global)\\s+)?temp(?:orary)?\\b(?!(?:.|\\n)*\\bon\\s+commit\\s+drop\\b)`,
      'i',
    ),
    'make the table in a transaction, ON COMMIT DROP',
  ],
  [
    new RegExp(`${lead}select\\b(?:.|\\n)*?\\binto\\s+temp(?:orary)?\\b`, 'i'),
    'make the table in a transaction, ON COMMIT DROP',
  ],
  // What decides which rows are whose must not go over to the next client.
  [
    /\bset_config\s*\((?!(?:.|\n)*,\s*true\s*\))/i,
    'give set_config true as its third argument, written out, in a transaction',
  ],
  [/\bpg_(?:try_)?advisory_(?:un)?lock(?:_shared|_all)?\s*\(/i, 'use pg_advisory_xact_lock in a transaction'],
]

/**
 * Refuses what would stay behind in a session that someone else gets next. By its text: a function of the
 * database's own that does so is not found.
 * @throws PortError `unsupported`
 */
export function refuseSessionState(text: string): void {
  const instead = refusals.find(([pattern]) => pattern.test(text))?.[1]
  if (instead === undefined) return
  throw new PortError({
    code: 'unsupported',
    outcome: 'not-applied',
    message: `behind a pooler in transaction mode a session's state is shared with other clients; ${instead}`,
  })
}
