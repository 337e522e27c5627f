import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import { postgres } from '../adapters/postgres/index.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { assertRuns } from './runs.ts'
import { type FreshPlace, freshPostgres } from './servers.ts'
import { clearItems, makeItems, runSqlCommand, SqlModel, sqlCommands } from './sql-database-model.ts'

let place: FreshPlace
let guarded: Guarded<SqlDatabase>
beforeAll(async () => {
  place = await freshPostgres()
  const parsed = ServiceUrl.parse(place.url, postgres.parameters)
  assert.ok('url' in parsed)
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  guarded = guard(SqlDatabase, driver, { service: 'orders', secrets: parsed.url.secrets })
  await makeItems(guarded.port)
})
afterAll(async () => {
  await guarded.close()
  await place.drop()
})

test('PostgreSQL answers any sequence of statements, transactions and savepoints as the model does', async () => {
  await assertRuns(
    fc.asyncProperty(sqlCommands, async (commands) => {
      await clearItems(guarded.port)
      const model = new SqlModel()
      for (const command of [...commands, { type: 'read', streamed: false } as const]) {
        assert.deepEqual(
          await runSqlCommand(guarded.port, command),
          model.run(command),
          JSON.stringify(command),
        )
      }
    }),
    { runs: 60 },
  )
})
