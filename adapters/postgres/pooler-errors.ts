/**
 * What PgBouncer says itself. Whatever it is about, the SQLSTATE is 08P01 (some newer releases pass on the server's
 * own where there is one), so only the text tells: https://github.com/pgbouncer/pgbouncer/tree/master/src
 */
import type { Classification } from '../../src/adapter.ts'

type Row = readonly [text: RegExp, meaning: Classification]

const notApplied = { outcome: 'not-applied' } as const

const rows: readonly Row[] = [
  [
    /^unsupported (?:options )?startup (?:parameter|option)/,
    {
      ...notApplied,
      code: 'precondition-failed',
      message: 'a pooler answers there, in front of the database; set pooler=transaction in the URL',
    },
  ],
  [
    /authentication failed|^no such user|^login rejected|^empty password|invalid SASL authentication/,
    {
      ...notApplied,
      code: 'unauthenticated',
      message:
        'the pooler refused the credentials; check user and password in the URL, and its list of users',
    },
  ],
  [
    /^no such database|^database ".*" is disabled|^database ".*" does not exist/s,
    {
      ...notApplied,
      code: 'not-found',
      message: 'the pooler knows no such database; check the path in the URL',
    },
  ],
  [
    // Of the pooler, and of the server behind it.
    /^no more connections allowed|^client connections exceeded|too many connections|too many clients|remaining connection slots/,
    {
      ...notApplied,
      code: 'rate-limited',
      message: 'the pooler, or the server behind it, has no connection left for this user',
    },
  ],
  [
    // The wait in its queue, too: whether the server is down or busy it does not say.
    /^query_wait_timeout|^server login|^client_login_timeout|^connect failed|DNS lookup failed|^the database system is|^pooler is shutting down|^pause failed/,
    {
      ...notApplied,
      code: 'unavailable',
      message: 'the pooler has no connection to the database behind it',
    },
  ],
  [
    /^query_timeout|^query timeout|transaction timeout/,
    { code: 'timeout', outcome: 'unknown', message: 'it took longer than the pooler allows' },
  ],
]

/** What PgBouncer means by a fatal 08P01. A statement may have been carried out where it does not say otherwise. */
export function classifyPoolerError(message: string): Classification {
  return (
    rows.find(([text]) => text.test(message))?.[1] ?? {
      code: 'unavailable',
      outcome: 'unknown',
      message: 'the connection to the database broke',
    }
  )
}
