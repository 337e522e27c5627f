/** The places on which the contract of publishers is run, and the adapter's way to them. */
import { x } from '../adapters/x/index.ts'
import { type ForcedAnswer, startXEmulator, type XEmulator } from '../fakes/emulators/x.ts'
import { FakeSocialPublisher } from '../fakes/social-publisher.ts'
import { systemClock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, type GuardOptions, guard } from '../src/calls/guard.ts'
import { SocialPublisher } from '../src/ports/social-publisher.ts'
import { freePort } from '../src/servers/free-port.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject } from './contract.ts'
import type { OddAnswer, SocialPublisherInside } from './social-publisher.ts'

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

const problems = 'https://api.twitter.com/2/problems'
const failed = (...errors: readonly object[]): ForcedAnswer => ({
  status: 200,
  body: JSON.stringify({ errors }),
})
const posted = (data: object): ForcedAnswer => ({ status: 201, body: JSON.stringify({ data }) })

/** Each odd answer as X would give it. `in…` are seconds after the epoch. */
function odd(answer: OddAnswer, in60: string, in3600: string): ForcedAnswer {
  const window = (headers: Readonly<Record<string, string>>): ForcedAnswer => ({
    status: 429,
    body: JSON.stringify({ type: `${problems}/rate-limit-exceeded` }),
    headers,
  })
  const answers: Readonly<Record<OddAnswer, ForcedAnswer>> = {
    'a page': { status: 201, body: '<html>' },
    nothing: { status: 201, body: '' },
    'a list': { status: 201, body: '[{"data":{"id":"1","text":"a"}}]' },
    null: { status: 201, body: 'null' },
    'no post': { status: 201, body: '{}' },
    'more than anyone would send': {
      status: 201,
      body: JSON.stringify({ data: { id: '1', text: 'x'.repeat(2_000_000) } }),
    },
    'more than anyone would send, as a failure': { status: 500, body: 'x'.repeat(2_000_000) },
    'an id that is a number': posted({ id: 12, text: 'a' }),
    'an id of letters': posted({ id: 'abc', text: 'a' }),
    'an id with more before it': posted({ id: '../12', text: 'a' }),
    'an id with more behind it': posted({ id: '12/..', text: 'a' }),
    'no text': posted({ id: '12', text: null }),
    'a deletion without content': { status: 204 },
    'a deletion that is none': { status: 200, body: '{"data":{"deleted":false}}' },
    'a deletion without a word on it': { status: 200, body: '{}' },
    'an absent post in a success': failed({ type: `${problems}/resource-not-found` }),
    'a post that may not be seen in a success': failed({ type: `${problems}/not-authorized-for-resource` }),
    'a refusal of the credentials in a success': failed({ type: 'about:blank', status: 401 }),
    'a failure in a success': failed({ type: `${problems}/resource-not-found`, status: 599 }),
    // Neither of these is a status of a failure.
    'a problem in a success': failed({ status: 200 }),
    'words in a success': { status: 200, body: '{"errors":["no"]}' },
    'a post and a problem beside it': {
      status: 200,
      body: JSON.stringify({
        data: { id: '7', text: 'Hi' },
        errors: [{ type: `${problems}/not-authorized-for-resource` }],
      }),
    },
    'a redirection': { status: 307, headers: { location: '/2/elsewhere' } },
    'a bad request': { status: 400, body: '{"title":"Invalid Request"}' },
    'no such address': { status: 404, body: '{"title":"Not Found"}' },
    'not implemented': { status: 501, body: '{}' },
    'an odd refusal': { status: 418, body: '{}' },
    'a failure': { status: 500, body: '<html>' },
    'a full window': window({ 'x-rate-limit-reset': in60 }),
    'a full window without its end': window({}),
    'a full window with an end that is none': window({ 'x-rate-limit-reset': `soon ${in60}` }),
    'a full day of the user': window({
      'x-rate-limit-remaining': '0',
      'x-rate-limit-reset': in60,
      'x-user-limit-24hour-remaining': '0',
      'x-user-limit-24hour-reset': in3600,
    }),
  }
  return answers[answer]
}

/** What a fake, however it is reached, lends a contract. */
export function meansOf(fake: FakeSocialPublisher, emulator?: Pick<XEmulator, 'force'>): Means {
  const secondsIn = (seconds: number): string => String(Math.ceil(fake.clock.now() / 1_000) + seconds)
  const inside: SocialPublisherInside = {
    ...limits,
    posts: () => fake.posts,
    reached: (operation) => fake.journal.of(operation).length,
    answerNext: emulator && ((answer) => emulator.force(odd(answer, secondsIn(60), secondsIn(3_600)))),
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
  /** Starts it again in the same place, once it is closed. */
  readonly restart: () => Promise<XEmulator>
}> {
  const fake = fakePublisher()
  const emulator = await startXEmulator(fake, { token })
  const { port } = emulator
  return {
    fake,
    emulator,
    at: { scheme: 'x+http', authority: `127.0.0.1:${port}` },
    restart: () => startXEmulator(fake, { token, port }),
  }
}
