/** COPY … FROM STDIN in text format. https://www.postgresql.org/docs/17/sql-copy.html#SQL-COPY-FILE-FORMATS */
import { setImmediate } from 'node:timers/promises'
import type { CopyStreamQuery } from 'pg-copy-streams'
import { untilAborted } from '../../src/calls/abort.ts'
import { quoteIdentifier, type SqlValue } from '../../src/ports/sql.ts'
import type { SqlCopyTarget } from '../../src/ports/sql-database.ts'
import { loadVendor } from '../../src/services/vendor.ts'
import { endsConnection } from './errors.ts'
import { notSent, type Session } from './session.ts'
import { encodeText } from './values.ts'

type Rows = AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>

// Large enough that the protocol's own cost does not count, small enough to hold in memory many times.
const chunkLength = 64 * 1024
// How long the server may take to confirm that a COPY was given up.
const giveUpMs = 5_000

/** What the source of the rows threw, told apart from what the database did. */
export class SourceFailure {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

/**
 * Loads `rows` by one COPY; answers how many they were.
 * @throws SourceFailure where the rows' own iterable failed
 */
export async function copyRows(
  session: Session,
  { table, columns }: SqlCopyTarget,
  rows: Rows,
  signal: AbortSignal,
): Promise<number> {
  const names = columns.map((column) => quoteIdentifier([column])).join(', ')
  const text = `COPY ${quoteIdentifier(table.split('.'))} (${names}) FROM STDIN`
  const { from } = await loadVendor(() => import('pg-copy-streams'), ['pg-copy-streams'])
  let ending = false
  const onEnding = (): void => {
    ending = true
  }
  try {
    return await session.use((client, stop) => load(client.query(from(text)), rows, stop, onEnding), signal)
  } catch (error) {
    // Without its end the server keeps nothing of a load, however it was cut off.
    throw ending || error instanceof SourceFailure ? error : notSent(error)
  }
}

/** Feeds the COPY. Written out rather than with `pipeline`, which would wait for a source that hangs. */
async function load(
  copy: CopyStreamQuery,
  rows: Rows,
  stop: AbortSignal,
  onEnding: () => void,
): Promise<number> {
  const closed = new Promise<void>((resolve) => copy.once('close', resolve))
  const over = new AbortController()
  const onStop = (): void => over.abort(stop.reason)
  stop.addEventListener('abort', onStop, { once: true })
  copy.once('error', (error) => over.abort(error))
  const chunks = chunksOf(rows)
  try {
    for (;;) {
      const { done, value } = await untilAborted(chunks.next(), over.signal)
      if (done) break
      if (!copy.write(value)) {
        const drained = new Promise<void>((resolve) => copy.once('drain', resolve))
        await untilAborted(drained, over.signal)
      }
      // The socket may take all of it at once, and the source never wait: then nothing else would run, neither a
      // deadline nor what the server says.
      await setImmediate()
    }
  } catch (error) {
    // Without CopyDone the server keeps nothing; this tells it so, and its answer frees the connection.
    copy.on('error', () => {})
    copy.destroy()
    // Of a connection that is gone there is no answer to wait for.
    if (!endsConnection(error)) await untilAborted(closed, AbortSignal.timeout(giveUpMs)).catch(() => {})
    throw error
  } finally {
    stop.removeEventListener('abort', onStop)
    // Not awaited: a source that hangs would hang here as well.
    chunks.return(undefined).catch(() => {})
  }
  const finished = new Promise<void>((resolve) => copy.once('finish', resolve))
  onEnding()
  copy.end()
  await untilAborted(finished, over.signal)
  return copy.rowCount
}

async function* chunksOf(rows: Rows): AsyncGenerator<Buffer, void> {
  let chunk = ''
  try {
    for await (const row of rows) {
      chunk += copyLine(row)
      if (chunk.length < chunkLength) continue
      yield Buffer.from(chunk)
      chunk = ''
    }
  } catch (error) {
    throw new SourceFailure(error)
  }
  if (chunk !== '') yield Buffer.from(chunk)
}

/** One row in COPY's text format. */
export function copyLine(row: readonly SqlValue[]): string {
  return `${row.map(copyField).join('\t')}\n`
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function copyField(value: SqlValue): string {
  const text = encodeText(value)
  return text === null ? '\\N' : text.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? character)
}
