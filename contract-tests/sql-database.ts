/** What every SqlDatabase does, whatever is behind it. */

import { sql } from '../src/ports/sql.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { networkBehaviours } from './common/network.ts'
import { commonBehaviours, type SampleCalls } from './common.ts'
import { type Contract, defineContract } from './contract.ts'
import { connectionBehaviours } from './sql-database/connections.ts'
import { copyBehaviours } from './sql-database/copy.ts'
import { endingBehaviours } from './sql-database/endings.ts'
import { errorBehaviours } from './sql-database/errors.ts'
import { limitBehaviours } from './sql-database/limits.ts'
import { wireBehaviours } from './sql-database/network.ts'
import { outageBehaviours } from './sql-database/outage.ts'
import { overlapBehaviours } from './sql-database/overlaps.ts'
import { repetitionBehaviours } from './sql-database/repetition.ts'
import { savepointBehaviours } from './sql-database/savepoints.ts'
import { statementBehaviours } from './sql-database/statements.ts'
import { streamBehaviours } from './sql-database/streams.ts'
import { transactionBehaviours } from './sql-database/transactions.ts'
import { valueBehaviours } from './sql-database/values.ts'

const samples: SampleCalls<SqlDatabase> = {
  query: (db, options) => db.query(sql`SELECT 1`, options),
  one: (db, options) => db.one(sql`SELECT 1`, options),
  maybeOne: (db, options) => db.maybeOne(sql`SELECT 1`, options),
  execute: (db, options) => db.execute(sql`SELECT 1`, options),
  stream: (db, options) => db.stream(sql`SELECT 1`, options),
  copyIn: (db, options) => db.copyIn({ table: 'no_such_table', columns: ['id'] }, [[1]], options),
  transaction: (db, options) => db.transaction((transaction) => transaction.query(sql`SELECT 1`), options),
}

/** Hold an implementation of your own to it with `runContract`, on a database that is empty each time. */
export const sqlDatabaseContract: Contract<SqlDatabase> = defineContract(SqlDatabase, [
  ...commonBehaviours(SqlDatabase, samples),
  ...networkBehaviours(SqlDatabase, samples),
  ...wireBehaviours,
  ...statementBehaviours,
  ...valueBehaviours,
  ...streamBehaviours,
  ...copyBehaviours,
  ...transactionBehaviours,
  ...repetitionBehaviours,
  ...overlapBehaviours,
  ...endingBehaviours,
  ...savepointBehaviours,
  ...connectionBehaviours,
  ...limitBehaviours,
  ...errorBehaviours,
  ...outageBehaviours,
])
