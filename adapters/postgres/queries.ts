/** The operations that the database and a transaction share, over whatever runs a statement. */

import { PortError } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import type { SqlStatement, SqlValue } from '../../src/ports/sql.ts'
import type { SqlCopyTarget, SqlQueries, SqlRow, SqlStreamOptions } from '../../src/ports/sql-database.ts'
import type { WireResult, WireStatement } from './session.ts'
import { decodeRows, encodeValue } from './values.ts'

type Options = CallOptions | undefined

const defaultBatchRows = 500

export abstract class PostgresQueries implements SqlQueries {
  async query<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: CallOptions,
  ): Promise<readonly Row[]> {
    return rowsOf(await this.runStatement(toWire(statement), signalOf(options)))
  }

  async one<Row extends object = SqlRow>(statement: SqlStatement, options?: CallOptions): Promise<Row> {
    const row = await this.maybeOne<Row>(statement, options)
    if (row !== undefined) return row
    throw new PortError({
      code: 'not-found',
      message: 'the statement gave no row, where exactly one is expected',
    })
  }

  async maybeOne<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: CallOptions,
  ): Promise<Row | undefined> {
    const result = await this.runStatement(toWire(statement), signalOf(options))
    if (result.rows.length <= 1) return rowsOf<Row>(result)[0]
    throw new PortError({
      code: 'precondition-failed',
      message: `the statement gave ${result.rows.length} rows, where one is expected`,
      outcome: result.command === 'SELECT' ? 'not-applied' : 'applied',
    })
  }

  async execute(statement: SqlStatement, options?: CallOptions): Promise<number> {
    const { rowCount } = await this.runStatement(toWire(statement), signalOf(options))
    return rowCount ?? 0
  }

  abstract stream<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: SqlStreamOptions,
  ): AsyncIterable<Row>

  abstract copyIn(
    target: SqlCopyTarget,
    rows: AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>,
    options?: CallOptions,
  ): Promise<number>

  protected abstract runStatement(statement: WireStatement, signal: AbortSignal): Promise<WireResult>
}

/** A statement with its values encoded. */
export function toWire({ text, values }: SqlStatement): Required<WireStatement> {
  return { text, values: values.map(encodeValue) }
}

/** The result's rows as objects. Their type is what the caller says of its own statement. */
export function rowsOf<Row extends object>({ fields, rows }: WireResult): readonly Row[] {
  return decodeRows(fields, rows) as Row[]
}

/** The guard always gives a signal. */
export function signalOf(options: Options): AbortSignal {
  return options?.signal ?? new AbortController().signal
}

let cursors = 0

/**
 * The rows of a cursor, a batch at a time. A cursor of SQL's own rather than of the protocol, because between
 * two batches of it other statements can run on the connection.
 */
export async function* fetchRows<Row extends object>(
  run: (statement: WireStatement) => Promise<WireResult>,
  statement: SqlStatement,
  batchRows: number = defaultBatchRows,
): AsyncGenerator<Row> {
  cursors += 1
  const cursor = `portside_cursor_${cursors}`
  const { text, values } = toWire(statement)
  await run({ text: `DECLARE ${cursor} NO SCROLL CURSOR FOR ${text}`, values })
  try {
    for (;;) {
      const result = await run({ text: `FETCH FORWARD ${batchRows} FROM ${cursor}` })
      yield* rowsOf<Row>(result)
      if (result.rows.length < batchRows) return
    }
  } finally {
    // Where that fails, the cursor goes with the transaction, which has failed as well.
    await run({ text: `CLOSE ${cursor}` }).catch(() => {})
  }
}
