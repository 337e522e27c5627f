import fc from 'fast-check'
import { expect, test } from 'vitest'
import { x } from '../adapters/x/index.ts'
import { startXEmulator, type XEmulator } from '../fakes/emulators/x.ts'
import { FakeSocialPublisher } from '../fakes/social-publisher.ts'
import { type Clock, systemClock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { PortError } from '../src/errors.ts'
import { SocialPublisher } from '../src/ports/social-publisher.ts'
import { freePort } from '../src/servers/free-port.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject } from './contract.ts'
import { type SocialPublisherInside, socialPublisherContract } from './social-publisher.ts'
import { describeContract } from './vitest.ts'

const token = 'c4nary-T0ken%2F'

function means(
  fake: FakeSocialPublisher,
): Pick<OpenSubject<SocialPublisher>, 'force' | 'delayNext' | 'passTime' | 'inside'> {
  const inside: SocialPublisherInside = {
    posts: () => fake.posts,
    publishLimit: 100,
    deleteLimit: 50,
    limitWindowMs: 900_000,
  }
  return {
    inside,
    force: (operation, failure) => fake.faults.next(operation as 'publish', failure),
    delayNext: (operation, latencyMs) => fake.faults.next(operation as 'publish', { latencyMs }),
    passTime: async (ms) => (fake.clock as VirtualClock).advance(ms),
  }
}

async function openX(port: number, clock: Clock = systemClock): Promise<Guarded<SocialPublisher>> {
  const text = `x+http://bearer:${encodeURIComponent(token)}@127.0.0.1:${port}`
  const parsed = ServiceUrl.parse(text, x.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join())
  const driver = await x.open(parsed.url, { service: 'social', clock })
  return guard(SocialPublisher, driver, { service: 'social', clock, secrets: parsed.url.secrets })
}

async function emulated(): Promise<{
  readonly fake: FakeSocialPublisher
  readonly emulator: XEmulator
  readonly guarded: Guarded<SocialPublisher>
}> {
  const clock = new VirtualClock()
  const fake = new FakeSocialPublisher({ clock })
  const emulator = await startXEmulator(fake, { token })
  return { fake, emulator, guarded: await openX(emulator.port, clock) }
}

describeContract(socialPublisherContract, {
  name: 'fake',
  kind: 'fake',
  async open() {
    const fake = new FakeSocialPublisher()
    return { guarded: fake.guarded, ...means(fake) }
  },
})

describeContract(socialPublisherContract, {
  name: 'x on emulator',
  kind: 'emulator',
  async open() {
    const { fake, emulator, guarded } = await emulated()
    return { guarded, canaries: [token], ...means(fake), dispose: () => emulator.close() }
  },
  async openUnreachable() {
    return { guarded: await openX(await freePort()), canaries: [token, encodeURIComponent(token)] }
  },
})

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
      const fake = new FakeSocialPublisher()
      const { fake: behind, emulator, guarded } = await emulated()
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
