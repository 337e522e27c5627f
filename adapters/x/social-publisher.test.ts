import { inspect } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { startXEmulator, type XEmulator } from '../../fakes/emulators/x.ts'
import { FakeSocialPublisher } from '../../fakes/social-publisher.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import { SocialPublisher } from '../../src/ports/social-publisher.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { x } from './index.ts'
import { xSocialPublisher } from './social-publisher.ts'

const token = 'c4nary-T0ken'
const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

function parse(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, x.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

async function emulated(given = token): Promise<XEmulator & { readonly guarded: Guarded<SocialPublisher> }> {
  const emulator = await startXEmulator(new FakeSocialPublisher({ clock: systemClock }), { token })
  const url = parse(`x+http://bearer:${given}@127.0.0.1:${emulator.port}`)
  const guarded = guard(SocialPublisher, await x.open(url, { service: 'social', clock: systemClock }))
  open.push(
    () => emulator.close(),
    () => guarded.close(),
  )
  return Object.assign(emulator, { guarded })
}

async function failure(call: Promise<unknown>): Promise<PortError> {
  const error = await call.then(
    () => new Error('it resolved'),
    (reason: unknown) => reason,
  )
  if (!PortError.is(error)) throw error
  return error
}

describe('an answer that is none of X', () => {
  test.each([
    ['no JSON', { status: 201, body: '<html>' }, 'corrupt', 'applied'],
    ['nothing', { status: 201, body: '' }, 'corrupt', 'applied'],
    ['an array', { status: 201, body: '[]' }, 'corrupt', 'applied'],
    ['no data', { status: 201, body: '{}' }, 'corrupt', 'applied'],
    [
      'an id as a number',
      { status: 201, body: '{"data":{"id":1234567890123456789,"text":"a"}}' },
      'corrupt',
      'applied',
    ],
    ['an id of letters', { status: 201, body: '{"data":{"id":"../1","text":"a"}}' }, 'corrupt', 'applied'],
    ['null', { status: 201, body: '{"data":null}' }, 'corrupt', 'applied'],
    ['too much', { status: 201, body: `"${'x'.repeat(3_000_000)}"` }, 'corrupt', 'applied'],
    ['too much of an error', { status: 500, body: 'x'.repeat(3_000_000) }, 'corrupt', 'unknown'],
    ['an error without JSON', { status: 403, body: '<html>' }, 'permission-denied', 'not-applied'],
    [
      'an error in a success',
      { status: 200, body: '{"errors":[{"title":"x","status":401}]}' },
      'unauthenticated',
      'not-applied',
    ],
    ['a failure', { status: 503, body: '' }, 'unavailable', 'unknown'],
  ])('(%s) to publish is %#', async (_, answer, code, outcome) => {
    const emulator = await emulated()
    emulator.force(answer)
    expect(await failure(emulator.guarded.port.publish({ text: 'a' }))).toMatchObject({ code, outcome })
    // The connection is usable, or was let go of.
    await emulator.guarded.port.publish({ text: 'a' })
  })

  test('a connection that ends without any is unavailable, and unknown for writes alone', async () => {
    const emulator = await emulated()
    const { port } = emulator.guarded
    for (const [call, outcome] of [
      [() => port.publish({ text: 'a' }), 'unknown'],
      [() => port.delete('1'), 'unknown'],
      [() => port.get('1'), 'not-applied'],
    ] as const) {
      emulator.force({ drop: true })
      expect(await failure(call())).toMatchObject({ code: 'unavailable', outcome })
    }
  })
})

describe('what X says in more than one way', () => {
  test.each([
    ['404', { status: 404, body: '{"title":"Not Found"}' }],
    [
      '200 with an error',
      { status: 200, body: '{"errors":[{"type":"https://api.twitter.com/2/problems/resource-not-found"}]}' },
    ],
  ])('an absent post: %s', async (_, answer) => {
    const emulator = await emulated()
    emulator.force(answer)
    expect(await emulator.guarded.port.get('1')).toBeUndefined()
    emulator.force(answer)
    expect(await emulator.guarded.port.delete('1')).toBeUndefined()
  })

  test('a post that may not be seen is permission-denied', async () => {
    const emulator = await emulated()
    const type = 'https://api.twitter.com/2/problems/not-authorized-for-resource'
    emulator.force({ status: 200, body: JSON.stringify({ errors: [{ type }] }) })
    expect(await failure(emulator.guarded.port.get('1'))).toMatchObject({ code: 'permission-denied' })
  })

  test('a deletion: 204 as well as 200, but not without saying so', async () => {
    const emulator = await emulated()
    emulator.force({ status: 204 })
    await emulator.guarded.port.delete('1')
    emulator.force({ status: 200, body: '{"data":{"deleted":false}}' })
    expect(await failure(emulator.guarded.port.delete('1'))).toMatchObject({
      code: 'corrupt',
      outcome: 'unknown',
    })
  })

  test('the end of a rate-limit window', async () => {
    const emulator = await emulated()
    const reset = String(Math.ceil(Date.now() / 1_000) + 60)
    emulator.force({ status: 429, body: '{}', headers: { 'x-rate-limit-reset': reset } })
    const { retryAfterMs } = await failure(emulator.guarded.port.publish({ text: 'a' }))
    expect(retryAfterMs).toBeGreaterThan(0)
    expect(retryAfterMs).toBeLessThanOrEqual(61_000)
    emulator.force({ status: 429, body: '{}', headers: { 'x-rate-limit-reset': 'soon' } })
    expect((await failure(emulator.guarded.port.publish({ text: 'a' }))).retryAfterMs).toBeUndefined()
  })
})

describe('of several limits the one that is used up counts', () => {
  const in60 = String(Math.ceil(Date.now() / 1_000) + 60)
  const in3600 = String(Math.ceil(Date.now() / 1_000) + 3_600)
  test.each([
    [
      'the app’s day',
      {
        'x-rate-limit-remaining': '99',
        'x-rate-limit-reset': in60,
        'x-app-limit-24hour-remaining': '0',
        'x-app-limit-24hour-reset': in3600,
      },
      3_600_000,
    ],
    [
      'the user’s day',
      {
        'x-rate-limit-remaining': '99',
        'x-rate-limit-reset': in60,
        'x-user-limit-24hour-remaining': '0',
        'x-user-limit-24hour-reset': in3600,
      },
      3_600_000,
    ],
    [
      'the window',
      {
        'x-rate-limit-remaining': '0',
        'x-rate-limit-reset': in60,
        'x-app-limit-24hour-remaining': '7',
        'x-app-limit-24hour-reset': in3600,
      },
      60_000,
    ],
    [
      'both, so the later',
      {
        'x-rate-limit-remaining': '0',
        'x-rate-limit-reset': in60,
        'x-app-limit-24hour-remaining': '0',
        'x-app-limit-24hour-reset': in3600,
      },
      3_600_000,
    ],
  ])('%s', async (_, headers, expected) => {
    const emulator = await emulated()
    emulator.force({ status: 429, body: '{}', headers })
    const { retryAfterMs = 0 } = await failure(emulator.guarded.port.publish({ text: 'a' }))
    expect(Math.abs(retryAfterMs - expected)).toBeLessThan(30_000)
  })
})

describe('the token', () => {
  test('that is wrong is unauthenticated, for ping as for publish, and shows nowhere', async () => {
    const { guarded } = await emulated('wr0ng-T0ken')
    for (const call of [() => guarded.ping(), () => guarded.port.publish({ text: 'a' })]) {
      const error = await failure(call())
      expect(error).toMatchObject({ code: 'unauthenticated', outcome: 'not-applied' })
      expect(inspect(error, { depth: 12, showHidden: true })).not.toContain('wr0ng-T0ken')
    }
  })

  test('that X repeats in its answer does not come into the error', async () => {
    const emulator = await emulated()
    emulator.force({ status: 400, body: JSON.stringify({ detail: `bad header "Bearer ${token}"` }) })
    const shown = inspect(await failure(emulator.guarded.port.publish({ text: 'a' })), {
      depth: 12,
      showHidden: true,
    })
    expect(shown).not.toContain(token)
  })

  test.each([301, 302, 303, 307, 308])('does not follow a redirect (%i)', async (status) => {
    const elsewhere = await emulated()
    const emulator = await emulated()
    emulator.force({ status, headers: { location: `${elsewhere.origin}/2/tweets` } })
    expect(await failure(emulator.guarded.port.publish({ text: 'a' }))).toMatchObject({
      code: 'internal',
      outcome: 'not-applied',
    })
    expect(elsewhere.publisher.posts).toHaveLength(0)
  })

  test.each([
    [{ token: 'a b' }],
    [{ token: '' }],
    [{ token: 'a\r\nx: y' }],
    [{ token, origin: 'http://api.x.com' }],
    [{ token, origin: 'https://api.x.com/path' }],
    [{ token, origin: 'ftp://127.0.0.1' }],
    [{ token, origin: 'http://127.0.0.1.example.org' }],
  ])('goes only where it may: %j is refused', (options) => {
    expect(() => xSocialPublisher(options)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })
})

test('aborting a publish under way ends it at once, of unknown outcome, and the publisher goes on working', async () => {
  const emulator = await emulated()
  emulator.publisher.faults.next('publish', { latencyMs: 300 })
  const controller = new AbortController()
  const pending = failure(emulator.guarded.port.publish({ text: 'a' }, { signal: controller.signal }))
  while (emulator.publisher.journal.entries.length === 0)
    await new Promise((resolve) => setTimeout(resolve, 2))
  controller.abort()
  expect(await pending).toMatchObject({ code: 'cancelled', outcome: 'unknown' })
  expect(emulator.publisher.posts).toHaveLength(0)
  await emulator.guarded.port.publish({ text: 'b' })
})

test('it can be built on a fetch of the app', async () => {
  const requests: string[] = []
  const driver = xSocialPublisher({
    token,
    fetch: async (input, init) => {
      requests.push(`${init?.method} ${String(input)} ${new Headers(init?.headers).get('authorization')}`)
      return Response.json({ data: { id: '7', text: 'a' } }, { status: 201 })
    },
  })
  const { port } = guard(SocialPublisher, driver)
  expect(await port.publish({ text: 'a' })).toEqual({ id: '7', text: 'a' })
  expect(requests).toEqual([`POST https://api.x.com/2/tweets Bearer ${token}`])
})

describe('the URL', () => {
  test.each([
    ['x://bearer:TOKEN@api.x.com', []],
    ['x+http://bearer:TOKEN@127.0.0.1:8080', []],
    ['x+http://bearer:TOKEN@[::1]:8080', []],
    ['x+http://bearer:TOKEN@api.x.com', ['this machine only']],
    ['x://TOKEN@api.x.com', ['"bearer"']],
    ['x://api.x.com', ['"bearer"']],
    ['x://bearer:a%20b@api.x.com', ['printable']],
    ['x://bearer:TOKEN@api.x.com/2', ['path']],
  ])('%s has the problems %j', (text, expected) => {
    const problems = x.validate?.(parse(text)) ?? []
    expect(problems).toHaveLength(expected.length)
    expected.forEach((part, index) => {
      expect(problems[index]).toContain(part)
    })
  })

  test('with a parameter is refused', () => {
    expect(ServiceUrl.parse(`${x.example}?a=b`, x.parameters).problems).toHaveLength(1)
  })
})
