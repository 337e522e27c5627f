/** The server goes away and comes back. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'

// So many that every node of a cluster has some: each comes back in its own time.
const spread = Array.from({ length: 60 }, (_, index) => `any${index}`)

/** Waits until the store answers again, as the same client sees it. */
async function answersAgain(port: KeyValueStore): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await port.getMany(spread, { timeoutMs: 2_000 })
      return
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((next) => setTimeout(next, 100))
    }
  }
}

export const outages: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'outage/unavailable-then-recovers-by-itself',
    sentence:
      'While the server is dead calls are unavailable; when it is back the same client works and what was acknowledged is there.',
    needs: ['server'],
    async check({ port, guarded, server }) {
      assert.ok(server)
      await port.set('kept', 'value')
      await port.setMany([['kept too', 'value']])
      await server.kill()
      try {
        const calls = [port.get('kept'), port.increment('n'), port.set('k', 'v')]
        await Promise.all(calls.map((call) => expectPortError(call, 'unavailable', { retryable: true })))
        await expectPortError(guarded.ping(), 'unavailable')
      } finally {
        await server.restart()
      }
      await answersAgain(port)
      assert.equal(await port.getText('kept'), 'value')
      assert.equal(await port.getText('kept too'), 'value')
      assert.equal(await port.increment('after'), 1)
    },
  },
  {
    id: 'outage/nothing-is-applied-twice',
    sentence:
      'Through a crash every increment counts once if it was acknowledged, at most once if unknown, and not at all if not applied.',
    needs: ['server'],
    async check({ port, server }) {
      assert.ok(server)
      const counts = { applied: 0, unknown: 0, 'not-applied': 0 }
      let running = true
      const worker = async (): Promise<void> => {
        while (running) {
          try {
            await port.increment('total')
            counts.applied += 1
          } catch (error) {
            assert.ok(PortError.is(error) && error.code === 'unavailable', String(error))
            counts[error.outcome] += 1
            await new Promise((next) => setTimeout(next, 20))
          }
        }
      }
      await port.increment('total', 0)
      const workers = Array.from({ length: 20 }, worker)
      await new Promise((next) => setTimeout(next, 100))
      await server.kill()
      await server.restart()
      await answersAgain(port)
      await new Promise((next) => setTimeout(next, 100))
      running = false
      await Promise.all(workers)
      const total = Number(await port.getText('total'))
      const { applied, unknown } = counts
      assert.ok(applied > 0)
      assert.ok(total >= applied && total <= applied + unknown, `${total} of ${JSON.stringify(counts)}`)
    },
  },
  {
    id: 'outage/bulk-tells-of-each',
    sentence:
      'Where the server dies during a setMany, the items say which were written, and those are there afterwards.',
    needs: ['server'],
    async check({ port, server }) {
      assert.ok(server)
      const keys = Array.from({ length: 8_000 }, (_, index) => `k${index}`)
      const setting = port
        .setMany(keys.map((key) => [key, 'v'] as const))
        .catch((error: unknown) => error as PortError)
      await new Promise((next) => setTimeout(next, 30))
      await server.kill()
      const result = await setting
      await server.restart()
      await answersAgain(port)
      const there = await port.getMany(keys)
      if (PortError.is(result)) {
        assert.equal(result.outcome, 'not-applied')
        return
      }
      assert.equal(result.items.length, keys.length)
      for (const [index, { key, error }] of result.items.entries()) {
        if (error === undefined) assert.ok(there[index], `${key} was acknowledged`)
        else {
          assert.equal(error.code, 'unavailable')
          if (error.outcome === 'not-applied') assert.equal(there[index], undefined, key)
        }
      }
    },
  },
]
