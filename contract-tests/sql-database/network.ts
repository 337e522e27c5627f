/** What is true of a write whose connection fails, to the row. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import { type SqlValue, sql } from '../../src/ports/sql.ts'
import { overNetwork, upAgain } from '../common/network.ts'
import { expectPortError } from '../expect.ts'
import { makeSeats, type SqlBehaviour, seatIds } from './seats.ts'

const seats = { table: 'seats', columns: ['id'] }

export const wireBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'network/lost-answer-of-a-write',
    sentence:
      'A write whose answer is lost is of unknown outcome, was applied once, and is never sent again.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        await makeSeats(context.port)
        for (const id of [1, 2, 3]) {
          await upAgain(guarded)
          network.loseNextAnswer()
          const write = guarded.port.execute(sql`INSERT INTO seats (id) VALUES (${id})`)
          await expectPortError(write, 'unavailable', { outcome: 'unknown', retryable: true })
        }
        assert.deepEqual(await seatIds(context.port), [1, 2, 3])
      }),
  },
  {
    id: 'network/lost-answer-of-a-commit',
    sentence: 'A transaction whose commit is not answered is of unknown outcome, and was applied as a whole.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        await makeSeats(context.port)
        const call = guarded.port.transaction(async (transaction) => {
          await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
          await transaction.execute(sql`INSERT INTO seats (id) VALUES (2)`)
          // All that is sent from here on is the commit.
          network.loseNextAnswer()
        })
        await expectPortError(call, 'unavailable', { outcome: 'unknown', retryable: true })
        assert.deepEqual(await seatIds(context.port), [1, 2])
      }),
  },
  {
    id: 'network/lost-answer-before-the-commit',
    sentence:
      'A transaction that loses the answer to any statement before its commit was surely not applied.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        await makeSeats(context.port)
        for (const at of [0, 1, 2]) {
          await upAgain(guarded)
          const call = guarded.port.transaction(async (transaction) => {
            for (const step of [0, 1, 2]) {
              if (step === at) network.loseNextAnswer()
              await transaction.execute(sql`INSERT INTO seats (id) VALUES (${step})`)
            }
          })
          await expectPortError(call, 'unavailable', { outcome: 'not-applied', retryable: true })
          assert.deepEqual(await seatIds(context.port), [], `at ${at}`)
        }
      }),
  },
  {
    id: 'network/cut-at-any-moment',
    sentence:
      'Of a transaction whose connection is cut at any moment all is there or nothing, as its outcome says.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        await makeSeats(context.port)
        for (let moment = 0; moment < 24; moment += 1) {
          await upAgain(guarded)
          const call = guarded.port
            .transaction(async (transaction) => {
              for (const id of [1, 2, 3])
                await transaction.execute(sql`INSERT INTO seats (id) VALUES (${id})`)
            })
            .then(
              () => undefined,
              (error: unknown) => error,
            )
          for (let turn = 0; turn < moment; turn += 1) await new Promise((next) => setImmediate(next))
          network.cut()
          const failure = await call
          network.mend()
          // The server rolls back once it has seen that its client is gone, and holds the rows' locks until then.
          await context.port.transaction((next) => next.execute(sql`LOCK TABLE seats`), { timeoutMs: 5_000 })
          const there = await seatIds(context.port)
          if (failure === undefined) assert.deepEqual(there, [1, 2, 3], 'it was said to be applied')
          else {
            assert.ok(PortError.is(failure) && failure.code === 'unavailable', String(failure))
            if (failure.outcome === 'not-applied') assert.deepEqual(there, [], 'it was said not to be')
            else assert.ok(there.length === 0 || there.length === 3, `half of it is there: ${there}`)
          }
          await context.port.execute(sql`DELETE FROM seats`)
        }
      }),
  },
  {
    id: 'copy/lost-connection-leaves-nothing',
    sentence:
      'A load whose connection is cut before its end was surely not applied; where its last answer is lost, it is unknown.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        await makeSeats(context.port)
        async function* cutAt(count: number): AsyncGenerator<readonly SqlValue[]> {
          for (let id = 0; id < 40_000; id += 1) {
            if (id === count) network.cut()
            yield [id]
          }
          // Until the client has seen it.
          await new Promise((passed) => setTimeout(passed, 50))
        }
        for (const count of [0, 20_000, 39_999]) {
          await upAgain(guarded)
          const loading = guarded.port.copyIn(seats, cutAt(count))
          await expectPortError(loading, 'unavailable', { outcome: 'not-applied', retryable: true })
          network.mend()
          assert.deepEqual(await seatIds(context.port), [], `cut at ${count}`)
        }
        await upAgain(guarded)
        const losing = guarded.port.copyIn(
          seats,
          (async function* () {
            yield [1]
            await new Promise((passed) => setTimeout(passed, 50))
            network.loseNextAnswer()
          })(),
        )
        await expectPortError(losing, 'unavailable', { outcome: 'unknown' })
        assert.deepEqual(await seatIds(context.port), [1])
      }),
  },
  {
    id: 'stream/lost-connection',
    sentence:
      'A stream whose connection is cut under way fails with unavailable, not applied, after the rows it gave.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        let given = 0
        const reading = (async () => {
          const rows = guarded.port.stream(sql`SELECT n FROM generate_series(1, 10000) AS n`, {
            batchRows: 100,
          })
          for await (const _ of rows) {
            given += 1
            if (given === 250) network.cut()
          }
        })()
        await expectPortError(reading, 'unavailable', { outcome: 'not-applied', retryable: true })
        // The rest of the batch that was there already.
        assert.equal(given, 300)
      }),
  },
]
