/** What a client makes of a network that is cut, slow, silent, or loses an answer. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import type { Guarded } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import type { Port } from '../../src/port.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import type { Network } from '../network.ts'
import { type CommonOptions, ends, failureOf, Kit, lent, type Name, type SampleCalls } from './kit.ts'

/** The behaviours of `port` over a network that fails, for services whose connections last. */
export function networkBehaviours<T extends object>(
  port: Port<T>,
  samples: SampleCalls<T>,
  options: CommonOptions<T> = {},
): readonly Behaviour<T>[] {
  const kit = new Kit(port, samples, options)
  const remote = ({ capabilities }: Guarded<T>): readonly Name<T>[] => kit.possible(capabilities, kit.remote)
  return [
    {
      id: 'network/cut-is-unavailable',
      sentence:
        'While the network is cut every call is unavailable and retryable, reads are not applied, and when it is mended the same client works.',
      needs: ['network'],
      check: (context) =>
        overNetwork(context, async (guarded, network) => {
          const before = await codes(kit, guarded)
          network.cut()
          await Promise.all(
            remote(guarded).map(async (name) => {
              const error = await expectFailure(kit.call(guarded.port, name), 'unavailable', name)
              assert.equal(error.retryable, true)
              if (!kit.writes(name)) assert.equal(error.outcome, 'not-applied', name)
            }),
          )
          await expectPortError(guarded.ping(), 'unavailable')
          network.mend()
          await upAgain(guarded)
          assert.deepEqual(await codes(kit, guarded), before)
        }),
    },
    {
      id: 'network/cut-before-the-request-is-not-applied',
      sentence:
        'A call made while there is no connection to be had was surely not applied, reads and writes alike.',
      needs: ['network'],
      check: (context) =>
        overNetwork(context, async (guarded, network) => {
          network.cut()
          // Until the client has seen that its connection is gone, it may still write into it.
          await expectPortError(guarded.ping(), 'unavailable')
          await Promise.all(
            remote(guarded).map(async (name) => {
              const error = await expectFailure(kit.call(guarded.port, name), 'unavailable', name)
              assert.equal(error.outcome, 'not-applied', name)
            }),
          )
        }),
    },
    {
      id: 'network/lost-answer',
      sentence:
        'Where the answer is lost after the request was sent, a read was not applied, a write never says that it was, and the next call works.',
      needs: ['network'],
      check: (context) =>
        overNetwork(context, async (guarded, network) => {
          for (const name of remote(guarded)) {
            await upAgain(guarded)
            network.loseNextAnswer()
            const error = await expectFailure(kit.call(guarded.port, name), 'unavailable', name)
            assert.equal(error.retryable, true)
            if (kit.writes(name)) assert.notEqual(error.outcome, 'applied', name)
            else assert.equal(error.outcome, 'not-applied', name)
          }
        }),
    },
    {
      id: 'network/silence-is-timeout',
      sentence:
        'Where a connection stays open and nothing comes back, calls end with timeout, and the client recovers when it speaks again.',
      needs: ['network'],
      check: (context) =>
        overNetwork(context, async (guarded, network) => {
          network.freeze()
          await Promise.all(
            remote(guarded).map(async (name) => {
              const call = kit.call(guarded.port, name, { timeoutMs: 300 })
              const error = await expectFailure(ends(call, name), 'timeout', name)
              if (!kit.writes(name)) assert.equal(error.outcome, 'not-applied', name)
              else assert.notEqual(error.outcome, 'applied', name)
            }),
          )
          network.mend()
          await upAgain(guarded)
        }),
    },
    {
      id: 'network/abort-while-the-answer-is-on-its-way',
      sentence:
        'A call that is aborted while its answer is on its way ends with cancelled at once, and leaves no listener.',
      needs: ['network'],
      check: (context) =>
        overNetwork(context, async (guarded, network) => {
          for (const name of remote(guarded)) {
            // Longer than any machine is busy with something else before it comes to the abort.
            network.delay(10_000)
            const controller = new AbortController()
            const { signal } = controller
            const call = kit.call(guarded.port, name, { signal })
            const failing = expectFailure(ends(call, name), 'cancelled', name)
            setTimeout(() => controller.abort(), 20)
            const error = await failing
            if (!kit.writes(name)) assert.equal(error.outcome, 'not-applied', name)
            assert.equal(getEventListeners(signal, 'abort').length, 0, `${name} left a listener`)
            network.mend()
            await upAgain(guarded)
          }
        }),
    },
    {
      id: 'network/slow-is-not-wrong',
      sentence: 'Over a slow network every call comes to what it comes to over a fast one.',
      needs: ['network'],
      check: (context) =>
        overNetwork(context, async (guarded, network) => {
          const before = await codes(kit, guarded)
          network.delay(25)
          assert.deepEqual(await codes(kit, guarded), before)
        }),
    },
    {
      id: 'network/silent-close-ends',
      sentence: 'Closing ends although a call waits for an answer that never comes; the call is closed.',
      needs: ['network'],
      check: async ({ network }) => {
        assert.ok(network)
        const guarded = await network.open()
        await upAgain(guarded)
        network.freeze()
        const waiting = remote(guarded).map((name) => failureOf(kit.call(guarded.port, name)))
        await ends(guarded.close({ drainMs: 100 }), 'closing')
        for (const failure of await ends(Promise.all(waiting), 'a call that was closed')) {
          assert.ok(PortError.is(failure) && failure.code === 'closed', String(failure))
          assert.notEqual(failure.outcome, 'applied')
        }
      },
    },
  ]
}

/** Lends a client that is connected over the network, which is mended whatever happens. */
export async function overNetwork<T extends object>(
  { network }: BehaviourContext<T>,
  work: (guarded: Guarded<T>, network: Network<T>) => Promise<void>,
): Promise<void> {
  assert.ok(network)
  await lent(
    () => network.open(),
    async (guarded) => {
      try {
        await upAgain(guarded)
        await work(guarded, network)
      } finally {
        network.mend()
      }
    },
  )
}

/** Waits until the same client answers. */
export async function upAgain<T extends object>(guarded: Guarded<T>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await guarded.ping({ timeoutMs: 2_000 })
      return
    } catch (error) {
      if (tries === 100) throw error
      await new Promise((passed) => setTimeout(passed, 50))
    }
  }
}

async function expectFailure(
  call: Promise<unknown>,
  code: PortError['code'],
  name: string,
): Promise<PortError> {
  const failure = await failureOf(call)
  if (failure === undefined) assert.fail(`${name} succeeds`)
  return expectPortError(Promise.reject(failure), code, { operation: name })
}

/** What each sample comes to: its code, or `undefined` where it succeeds. */
async function codes<T extends object>(
  kit: Kit<T>,
  { port, capabilities }: Guarded<T>,
): Promise<readonly (string | undefined)[]> {
  const found: (string | undefined)[] = []
  for (const name of kit.possible(capabilities, kit.remote)) {
    const failure = await failureOf(kit.call(port, name))
    if (failure !== undefined && !PortError.is(failure)) throw failure
    found.push(failure?.code)
  }
  return found
}
