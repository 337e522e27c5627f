/** The contract of publishers on the fake, and on the adapter with X's emulator on loopback. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FakeSocialPublisher } from '../fakes/social-publisher.ts'
import { systemClock, type VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, type GuardOptions, guard } from '../src/calls/guard.ts'
import { PortError, type PortErrorCode } from '../src/errors.ts'
import { SocialPublisher } from '../src/ports/social-publisher.ts'
import { notingSubject } from './codes.ts'
import { networkTo } from './network.ts'
import { publisherCodes } from './social-publisher/failures.ts'
import {
  canaries,
  clientsAt,
  emulated,
  fakePublisher,
  meansOf,
  openUnreachable,
  openX,
} from './social-publisher.setup.ts'
import { socialPublisherContract } from './social-publisher.ts'
import { describeContract } from './vitest.ts'

/** Another client of a fake: a guard of its own on the same posts. */
function clientOf(fake: FakeSocialPublisher, options: GuardOptions = {}): Guarded<SocialPublisher> {
  const { port } = fake.guarded
  const driver = { calls: port, classify: () => undefined, ping: async () => {}, close: async () => {} }
  return guard(SocialPublisher, driver, { clock: fake.clock, ...options })
}

const seen = { fake: new Set<PortErrorCode>(), adapter: new Set<PortErrorCode>() }

const onFake = notingSubject(
  SocialPublisher,
  {
    name: 'fake',
    kind: 'fake',
    async open() {
      const fake = fakePublisher()
      return {
        guarded: fake.guarded,
        ...meansOf(fake),
        canaries,
        openAnother: async () => clientOf(fake),
        openObserved: async (observe) => clientOf(fake, { observe }),
      }
    },
  },
  seen.fake,
)
describeContract(socialPublisherContract, onFake.subject)

const onEmulator = notingSubject(
  SocialPublisher,
  {
    name: 'x on emulator',
    id: 'x-on-emulator',
    kind: 'emulator',
    adapter: 'x',
    async open() {
      const { fake, emulator: first, at, restart } = await emulated()
      let emulator = first
      const network = networkTo(first.port, (port) =>
        openX({ ...at, authority: `127.0.0.1:${port}` }, { clock: systemClock }),
      )
      return {
        ...(await clientsAt(at, fake)),
        ...meansOf(fake, { force: (answer) => emulator.force(answer) }),
        server: {
          kill: () => emulator.close(),
          restart: async () => {
            emulator = await restart()
          },
        },
        network,
        async dispose() {
          await network.close()
          await emulator.close()
        },
      }
    },
    openUnreachable,
  },
  seen.adapter,
)
describeContract(socialPublisherContract, onEmulator.subject)

test.for([
  ['fake', onFake],
  ['adapter', onEmulator],
] as const)(
  'every code that the %s can fail with was provoked, and no other',
  ([name, { places }], { skip }) => {
    if (places() < socialPublisherContract.behaviours.length) skip('only a part of the behaviours was run')
    expect([...seen[name]].toSorted()).toEqual(publisherCodes[name])
  },
)

test('the fake and the adapter on the emulator answer any sequence of calls alike', async () => {
  const step = fc.oneof(
    fc.record({
      call: fc.constant('publish' as const),
      text: fc.constantFrom('a', 'b', 'é', 'e\u0301', ' a ', ''),
      reply: fc.option(fc.nat(4), { nil: undefined }),
    }),
    fc.record({ call: fc.constantFrom('get' as const, 'delete' as const), post: fc.nat(4) }),
    fc.record({ call: fc.constant('wait' as const), ms: fc.constantFrom(1, 900_000, 86_400_000) }),
    fc.record({
      call: fc.constant('fault' as const),
      operation: fc.constantFrom('publish' as const, 'get' as const, 'delete' as const),
      when: fc.constantFrom('before' as const, 'after' as const),
    }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const fake = fakePublisher()
      const { fake: behind, emulator, at } = await emulated()
      const guarded = await openX(at, { clock: behind.clock })
      const outcome = async (call: Promise<unknown>): Promise<unknown> => {
        try {
          return await call
        } catch (error) {
          if (!PortError.is(error)) throw error
          return [error.code, error.reason, error.outcome, error.retryable]
        }
      }
      try {
        for (const one of steps) {
          const answers: unknown[] = []
          for (const [port, own] of [
            [fake.guarded.port, fake],
            [guarded.port, behind],
          ] as const) {
            const idOf = (index: number): string => own.posts[index]?.id ?? '1'
            if (one.call === 'publish') {
              const inReplyTo = one.reply === undefined ? {} : { inReplyTo: idOf(one.reply) }
              answers.push(await outcome(port.publish({ text: one.text, ...inReplyTo })))
            } else if (one.call === 'wait') (own.clock as VirtualClock).advance(one.ms)
            else if (one.call === 'fault')
              own.faults.next(one.operation, { error: 'rate-limited', when: one.when, retryAfterMs: 1_000 })
            else answers.push(await outcome(port[one.call](idOf(one.post))))
          }
          // A lost answer has no code of its own on the wire: there it is an end of the connection.
          const shown = answers.map((answer) =>
            Array.isArray(answer) && answer[2] === 'unknown' ? 'unknown' : answer,
          )
          expect(shown[1]).toEqual(shown[0])
          expect(behind.posts).toEqual(fake.posts)
        }
      } finally {
        await guarded.close()
        await emulator.close()
      }
    }),
    { numRuns: 40 },
  )
})
