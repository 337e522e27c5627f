/** What the fingerprint tells of an attached replica: a database does without one that it cannot use, and says nothing. */
import type pg from 'pg'
import type { Fact, FactDrift, Fingerprint } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import { classifyPostgresError } from './errors.ts'
import { identityOf } from './replica.ts'
import { Session } from './session.ts'

/** How long it may take to answer: much less than the whole fingerprint has. */
const patienceMs = 3_000

const state = `SELECT pg_is_in_recovery(), split_part(current_setting('server_version'), ' ', 1)`

/** `fingerprint` with them. A replica that cannot be read is drift, and no failure. */
export async function withReplica(
  fingerprint: Fingerprint,
  pools: { readonly primary: pg.Pool; readonly replica: pg.Pool },
  signal: AbortSignal,
): Promise<Fingerprint> {
  const facts: Record<string, Fact> = { ...fingerprint.facts }
  const unknown: Record<string, string> = { ...fingerprint.unknown }
  const drift: FactDrift[] = [...(fingerprint.drift ?? [])]
  const drifts = (found: string): void => {
    drift.push({ severity: 'medium', what: 'replica', expected: 'a standby of this primary', found })
  }
  facts['replica.attached'] = { value: 'true', severity: 'low' }
  const patience = AbortSignal.timeout(patienceMs)
  const within = AbortSignal.any([signal, patience])
  try {
    const [standby, version, there] = await on(pools.replica, within, async (session) => {
      const { rows } = await session.run({ text: state }, within)
      return [...(rows[0] ?? []), await identityOf(session, within)]
    })
    const here = await on(pools.primary, within, (session) => identityOf(session, within))
    if (version) facts['replica.version'] = { value: version, severity: 'medium' }
    if (standby !== 't') drifts('a server that is no standby')
    else if (here === undefined || there === undefined) unknown['replica.of'] = 'the role may not ask'
    else if (here !== there) drifts('a standby of another primary')
  } catch (error) {
    if (signal.aborted) throw error
    const code = patience.aborted
      ? 'timeout'
      : PortError.is(error)
        ? error.code
        : classifyPostgresError(error)?.code
    unknown['replica.version'] = 'it does not answer'
    drifts(`no answer (${code ?? 'internal'})`)
  }
  return {
    facts: Object.fromEntries(Object.entries(facts).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    unknown,
    drift,
  }
}

async function on<Result>(
  pool: pg.Pool,
  signal: AbortSignal,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const session = await Session.open(pool, signal, new Set())
  try {
    return await work(session)
  } finally {
    session.release(signal.aborted)
  }
}
