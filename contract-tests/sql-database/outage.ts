/** A server that dies and comes back. */
import assert from 'node:assert/strict'
import { sql } from '../../src/ports/sql.ts'
import { expectPortError } from '../expect.ts'
import { eventually, makeSeats, running, type SqlBehaviour, seatIds } from './seats.ts'

export const outageBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'outage/recovers-by-itself',
    sentence:
      'When the server is killed and comes back, the same client works again and no acknowledged write is lost.',
    needs: ['server'],
    async check({ guarded, port, server }) {
      assert.ok(server)
      await makeSeats(port)
      // Several idle connections, each of which reports its end.
      await Promise.all([1, 2, 3, 4].map((id) => port.execute(sql`INSERT INTO seats (id) VALUES (${id})`)))
      const slow = port.execute(sql`INSERT INTO seats (id) SELECT 9 FROM pg_sleep(600) AS contract_outage`)
      const inTransaction = port.transaction(async (transaction) => {
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (8)`)
        await transaction.query(sql`SELECT pg_sleep(600)::text AS contract_outage`)
      })
      const settled = Promise.allSettled([slow, inTransaction])
      await eventually(async () => (await running(port, 'contract_outage')) === 2, 'both statements run')
      await server.kill()
      await settled
      await expectPortError(slow, 'unavailable', { retryable: true, outcome: 'unknown' })
      await expectPortError(inTransaction, 'unavailable', { retryable: true, outcome: 'not-applied' })
      // Into a connection whose end it has not heard of yet, a client may still write; of each it hears soon.
      await eventually(async () => {
        const error = await expectPortError(seatIds(port), 'unavailable', { retryable: true })
        return error.outcome === 'not-applied'
      }, 'it knows that nothing was sent')
      await expectPortError(guarded.ping(), 'unavailable')
      await server.restart()
      await eventually(
        () =>
          guarded.ping().then(
            () => true,
            () => false,
          ),
        'the server is back',
      )
      assert.deepEqual(await seatIds(port), [1, 2, 3, 4])
      await port.transaction((transaction) => transaction.execute(sql`INSERT INTO seats (id) VALUES (5)`))
      assert.deepEqual(await seatIds(port), [1, 2, 3, 4, 5])
    },
  },
]
