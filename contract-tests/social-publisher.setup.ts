/** The places on which the contract of publishers is run, and the adapter's way to them. */
import { x } from '../adapters/x/index.ts'
import { startXEmulator, type XEmulator } from '../fakes/emulators/x.ts'
import { FakeSocialPublisher } from '../fakes/social-publisher.ts'
import { systemClock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, type GuardOptions, guard } from '../src/calls/guard.ts'
import { SocialPublisher } from '../src/ports/social-publisher.ts'
import { freePort } from '../src/servers/free-port.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject } from './contract.ts'
import type { SocialPublisherInside } from './social-publisher.ts'

/** With a character that a URL must escape. */
export const token = 'c4nary-T0ken%2F'
const refusedToken = 'c4nary-wr0ng'

/** Everything that must show nowhere. */
export const canaries: readonly string[] = [token, encodeURIComponent(token), refusedToken]

const limits = {
  publishLimit: 100,
  publishLimitPerDay: 130,
  deleteLimit: 50,
  limitWindowMs: 900_000,
  duplicateWindowMs: 86_400_000,
}

/** A fake with limits that can be reached, on a clock of its own. */
export function fakePublisher(): FakeSocialPublisher {
  return new FakeSocialPublisher({ clock: new VirtualClock() }, limits)
}

type Means = Pick<OpenSubject<SocialPublisher>, 'force' | 'delayNext' | 'passTime' | 'inside'>

/** What a fake, however it is reached, lends a contract. */
export function meansOf(fake: FakeSocialPublisher): Means {
  const inside: SocialPublisherInside = {
    ...limits,
    posts: () => fake.posts,
    reached: (operation) => fake.journal.of(operation).length,
  }
  return {
    inside,
    force: (operation, failure) => fake.faults.next(operation as 'publish', failure),
    delayNext: (operation, latencyMs) => fake.faults.next(operation as 'publish', { latencyMs }),
    passTime: async (ms) => (fake.clock as VirtualClock).advance(ms),
  }
}

/** The adapter at `authority`, which is `x://…@HERE` or `x+http://…@HERE`. */
export async function openX(
  { scheme, authority, bearer = token }: { scheme: 'x' | 'x+http'; authority: string; bearer?: string },
  options: GuardOptions = {},
): Promise<Guarded<SocialPublisher>> {
  const text = `${scheme}://bearer:${encodeURIComponent(bearer)}@${authority}`
  const parsed = ServiceUrl.parse(text, x.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join())
  const clock = options.clock ?? systemClock
  const driver = await x.open(parsed.url, { service: 'social', clock })
  return guard(SocialPublisher, driver, { service: 'social', clock, secrets: parsed.url.secrets, ...options })
}

type At = Parameters<typeof openX>[0]

/** Clients of the fake behind `at`, in every way that a contract asks for. */
export async function clientsAt(
  at: At,
  fake: FakeSocialPublisher,
): Promise<
  Pick<OpenSubject<SocialPublisher>, 'guarded' | 'openAnother' | 'openObserved' | 'openRefused' | 'canaries'>
> {
  const { clock } = fake
  return {
    guarded: await openX(at, { clock }),
    openAnother: () => openX(at, { clock }),
    openObserved: (observe) => openX(at, { clock, observe }),
    openRefused: () => openX({ ...at, bearer: refusedToken }, { clock }),
    canaries,
  }
}

/** The adapter where nothing listens. */
export async function openUnreachable(): Promise<OpenSubject<SocialPublisher>> {
  const authority = `127.0.0.1:${await freePort()}`
  return { guarded: await openX({ scheme: 'x+http', authority }), canaries }
}

/** X on loopback and the adapter on it. */
export async function emulated(): Promise<{
  readonly fake: FakeSocialPublisher
  readonly emulator: XEmulator
  readonly at: At
}> {
  const fake = fakePublisher()
  const emulator = await startXEmulator(fake, { token })
  return { fake, emulator, at: { scheme: 'x+http', authority: `127.0.0.1:${emulator.port}` } }
}
