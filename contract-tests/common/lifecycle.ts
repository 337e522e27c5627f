/** How calls end that are aborted or closed under way, and what stays behind: nothing. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { ends, failureOf, type Kit, lent, portFailureOf } from './kit.ts'

/** After how many turns of the event loop a call is interrupted. */
const moments = [0, 1, 2, 5, 12]

/** What keeps a process alive, or will. Others, such as pipes to child processes, are the runner's. */
const kept = /^(?:TCP|TLS|UDP|Timeout|GetAddrInfo|QueryReqWrap|ConnectWrap|FSReqCallback)/

export function lifecycleBehaviours<T extends object>(kit: Kit<T>): readonly Behaviour<T>[] {
  return [
    {
      id: 'common/abort-in-flight-ends-the-call',
      sentence:
        'A call that is aborted at any moment ends soon, with its answer or an error of its own, and leaves no listener.',
      check: kit.each(async ({ port }, name) => {
        for (const moment of moments) {
          const controller = new AbortController()
          const call = portFailureOf(
            kit.call(port, name, { signal: controller.signal }),
            `${name}, aborted at ${moment}`,
          )
          for (let passed = 0; passed < moment; passed += 1) await turn()
          controller.abort()
          await ends(call, `${name}, aborted at ${moment},`)
          const listeners = getEventListeners(controller.signal, 'abort').length
          assert.equal(listeners, 0, `${name} left ${listeners} listeners on the signal`)
        }
      }),
    },
    {
      id: 'common/close-lets-calls-under-way-end',
      sentence:
        'Closing while calls run lets each come to its end, a stream at its next item, and later ones are closed.',
      check: async ({ guarded, port, capabilities }) => {
        const names = kit.possible(capabilities)
        const calls = names.map((name) => portFailureOf(kit.call(port, name), `${name}, closed meanwhile,`))
        const closing = guarded.close()
        const failures = await ends(Promise.all(calls), 'a call that runs while its port is closed')
        for (const [index, failure] of failures.entries()) {
          const name = names[index]
          if (name === undefined || kit.streams(name)) continue
          assert.notEqual(failure?.code, 'closed', `${name} was begun before`)
        }
        await ends(closing, 'closing while calls run')
        for (const name of names) await expectPortError(kit.call(port, name), 'closed')
      },
    },
    {
      id: 'common/close-leaves-nothing',
      sentence: 'After close nothing of the client is left that would keep a process alive.',
      needs: ['openAnother'],
      check: async ({ openAnother }) => {
        const before = await settledHandles()
        await lent(openAnother, async ({ port, capabilities }) => {
          await Promise.all(kit.possible(capabilities).map((name) => failureOf(kit.call(port, name))))
        })
        let more: readonly string[] = []
        // Sockets that were ended are gone some turns later.
        for (let tries = 0; tries < 500; tries += 1) {
          more = added(before, handles())
          if (more.length === 0) return
          await new Promise((passed) => setTimeout(passed, 10))
        }
        assert.fail(
          `it leaves ${more.join(', ')} (what a server in this process accepted counts: unref it there)`,
        )
      },
    },
  ]
}

/** What is there for good: a runner has timers of its own that come and go. */
async function settledHandles(): Promise<readonly string[]> {
  let fewest = handles()
  for (let look = 0; look < 4; look += 1) {
    await new Promise((passed) => setTimeout(passed, 40))
    const now = handles()
    if (now.length < fewest.length) fewest = now
  }
  return fewest
}

function handles(): readonly string[] {
  return process.getActiveResourcesInfo().filter((name) => kept.test(name))
}

/** Of `after`, what is there more often than in `before`. */
function added(before: readonly string[], after: readonly string[]): readonly string[] {
  const rest = [...before]
  return after.filter((name) => {
    const at = rest.indexOf(name)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
}
