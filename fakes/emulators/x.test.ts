/** X on the wire: what any client of it sees, byte by byte, whatever the skin. */
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/calls/clock.ts'
import { FakeSocialPublisher } from '../social-publisher.ts'
import { type Answer, clockStart, skins, token } from './fixtures/open-x.ts'
import { startXEmulator, type XScope, xEmulator } from './x.ts'

const aboutBlank = (status: number, title: string, detail = title) => ({
  title,
  detail,
  type: 'about:blank',
  status,
})

describe.each(skins)('over %s', (_, open) => {
  test('a post is made, found, found among others, and deleted', async () => {
    const { call, publisher } = await open()
    const made = await call('POST', '/2/tweets', { text: 'Sold out' })
    const { id } = made.json.data as { id: string }
    const post = { id, text: 'Sold out', edit_history_tweet_ids: [id] }
    expect([made.status, made.json]).toEqual([201, { data: post }])
    expect(made.headers.get('content-type')).toBe('application/json; charset=utf-8')
    const got = await call('GET', `/2/tweets/${id}`)
    expect([got.status, got.json]).toEqual([200, { data: post }])
    const both = await call('GET', `/2/tweets?ids=${id},7`)
    expect([both.status, both.json.data]).toEqual([200, [post]])
    expect(both.json.errors).toMatchObject([{ parameter: 'ids', value: '7', resource_type: 'tweet' }])
    const gone = await call('DELETE', `/2/tweets/${id}`)
    expect([gone.status, gone.json]).toEqual([200, { data: { deleted: true } }])
    expect((await call('GET', `/2/tweets/${id}`)).json).toMatchObject({
      errors: [{ title: 'Not Found Error', parameter: 'id', value: id }],
    })
    expect(publisher.posts).toEqual([])
  })

  test('who one is', async () => {
    const { call } = await open()
    expect((await call('GET', '/2/users/me')).json).toEqual({
      data: { id: '1', name: 'Emulated', username: 'emulated' },
    })
  })

  test.each([
    ['another token', `Bearer ${token}x`],
    ['a token in another case', `Bearer ${token.toLowerCase()}`],
    ['another scheme', `Basic ${token}`],
    ['nothing after the scheme', 'Bearer'],
    ['more after the token', `Bearer ${token} ${token}`],
  ])('%s is 401', async (_name, authorization) => {
    const { call, publisher } = await open()
    for (const [method, path] of [
      ['POST', '/2/tweets'],
      ['GET', '/2/users/me'],
      ['GET', '/2/what/is/this'],
    ] as const) {
      const body = method === 'POST' ? { text: 'a' } : undefined
      const { status, json, headers } = await call(method, path, body, { authorization })
      expect([status, json]).toEqual([401, aboutBlank(401, 'Unauthorized')])
      expect(headers.get('content-type')).toBe('application/problem+json')
    }
    expect(publisher.journal.entries).toEqual([])
  })

  test('the scheme of credentials is no matter of case', async () => {
    const { call } = await open()
    expect((await call('GET', '/2/users/me', undefined, { authorization: `bearer ${token}` })).status).toBe(
      200,
    )
  })

  test('a token without tweet.write reads and is forbidden to write', async () => {
    const { call, publisher } = await open({ scopes: ['tweet.read', 'users.read'] })
    const [post] = publisher.seed({ text: 'There' })
    expect((await call('GET', `/2/tweets/${post?.id}`)).status).toBe(200)
    for (const [method, path] of [
      ['POST', '/2/tweets'],
      ['DELETE', `/2/tweets/${post?.id}`],
    ] as const) {
      const { status, json } = await call(method, path, method === 'POST' ? { text: 'a' } : undefined)
      expect([status, json]).toEqual([
        403,
        aboutBlank(403, 'Forbidden', 'You are not permitted to perform this action.'),
      ])
    }
    expect(publisher.posts).toHaveLength(1)
  })

  test.each([
    [[], 403],
    [['tweet.read'], 403],
    [['users.read', 'tweet.read'], 200],
  ])('with the scopes %j who one is is %i', async (scopes, expected) => {
    const { call } = await open({ scopes: scopes as XScope[] })
    expect((await call('GET', '/2/users/me')).status).toBe(expected)
  })

  test('a duplicate is 403 in the words that clients look for', async () => {
    const { call } = await open()
    await call('POST', '/2/tweets', { text: 'a' })
    const { status, json } = await call('POST', '/2/tweets', { text: 'a' })
    expect([status, json]).toEqual([
      403,
      aboutBlank(403, 'Forbidden', 'You are not allowed to create a Tweet with duplicate content.'),
    ])
  })

  test('a reply to nothing, and a second cashtag, are 403', async () => {
    const { call, publisher } = await open()
    const reply = { text: 'a', reply: { in_reply_to_tweet_id: '7' } }
    const answers = [
      await call('POST', '/2/tweets', reply),
      await call('POST', '/2/tweets', { text: '$ACME $BETA' }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([403, 403])
    expect(answers.map(({ json }) => json.detail)).toEqual([
      expect.stringContaining('deleted or not visible'),
      expect.stringContaining('cashtag'),
    ])
    expect(publisher.posts).toEqual([])
  })

  test('the window and the app’s day are in the headers of a write, and of no other call', async () => {
    const { call } = await open({ publishLimit: 2, publishLimitPerDay: 10, deleteLimit: 5 })
    const limitsOf = ({ headers }: Answer) =>
      ['limit', 'remaining', 'reset'].flatMap((part) =>
        ['x-rate-limit', 'x-app-limit-24hour'].map((name) => headers.get(`${name}-${part}`)),
      )
    const [window, day] = [String(clockStart / 1_000 + 900), String(clockStart / 1_000 + 86_400)]
    expect(limitsOf(await call('POST', '/2/tweets', { text: 'a' }))).toEqual([
      '2',
      '10',
      '1',
      '9',
      window,
      day,
    ])
    expect(limitsOf(await call('POST', '/2/tweets', { text: 'a' }))).toEqual([
      '2',
      '10',
      '0',
      '8',
      window,
      day,
    ])
    const limited = await call('POST', '/2/tweets', { text: 'b' })
    expect(limitsOf(limited)).toEqual(['2', '10', '0', '8', window, day])
    expect([limited.status, limited.json]).toEqual([
      429,
      {
        title: 'Too Many Requests',
        detail: 'Too Many Requests',
        type: 'https://api.twitter.com/2/problems/rate-limit-exceeded',
        status: 429,
      },
    ])
    expect(limitsOf(await call('DELETE', '/2/tweets/7'))).toEqual(['5', null, '4', null, window, null])
    expect(limitsOf(await call('GET', '/2/tweets/7'))).toEqual(Array(6).fill(null))
  })

  test('a full day is told as the day, and leaves the window as it is', async () => {
    const { call } = await open({ publishLimit: 5, publishLimitPerDay: 1 })
    await call('POST', '/2/tweets', { text: 'a' })
    const { status, headers } = await call('POST', '/2/tweets', { text: 'b' })
    const told = (name: string) => [headers.get(`${name}-remaining`), headers.get(`${name}-reset`)]
    expect(status).toBe(429)
    expect(told('x-rate-limit')).toEqual(['4', String(clockStart / 1_000 + 900)])
    expect(told('x-app-limit-24hour')).toEqual(['0', String(clockStart / 1_000 + 86_400)])
  })

  test.each([
    ['GET', '/', 404],
    ['GET', '/1.1/statuses/show.json', 404],
    ['GET', '/2/tweets/search/recent?query=a', 501],
    ['GET', '/2/tweets/search?query=a', 501],
    ['PUT', '/2/tweets/7', 501],
    ['POST', '/2/media/upload', 501],
    ['GET', '/2/users/1/tweets', 501],
    ['GET', '/2/tweets/7?tweet.fields=created_at', 501],
    ['GET', '/2/users/me?expansions=x', 501],
    ['GET', '/2/tweets/7?unknown=1', 400],
    ['GET', '/2/tweets', 400],
    ['GET', '/2/tweets?ids=', 400],
    ['GET', '/2/tweets?ids=1,,2', 400],
    ['GET', '/2/tweets?ids=1,x', 400],
    ['GET', `/2/tweets?ids=${Array(101).fill('1').join(',')}`, 400],
    ['GET', '/2/tweets/12345678901234567890', 400],
    ['DELETE', '/2/tweets/1x', 400],
    ['DELETE', '/2/tweets/7?force=1', 400],
  ])('%s %s is %i', async (method, path, expected) => {
    const { call } = await open()
    expect((await call(method, path)).status).toBe(expected)
  })

  test.each([
    ['unavailable', 503, { title: 'Service Unavailable' }],
    [
      'quota-exceeded',
      429,
      { title: 'UsageCapExceeded', type: 'https://api.twitter.com/2/problems/usage-capped' },
    ],
    ['unauthenticated', 401, { title: 'Unauthorized' }],
    ['permission-denied', 403, { title: 'Forbidden' }],
    ['not-found', 404, { title: 'Not Found' }],
    ['internal', 503, {}],
  ] as const)('the fault %s is %i on the wire', async (error, expected, problem) => {
    const { call, publisher } = await open()
    publisher.faults.next('publish', { error })
    const { status, json } = await call('POST', '/2/tweets', { text: 'a' })
    expect([status, json]).toEqual([expected, expect.objectContaining(problem)])
    expect((await call('POST', '/2/tweets', { text: 'a' })).status).toBe(201)
  })

  test('the fault rate-limited says until when, and that nothing remains', async () => {
    const { call, publisher } = await open()
    publisher.faults.next('get', { error: 'rate-limited', retryAfterMs: 90_000 })
    const { status, headers } = await call('GET', '/2/tweets/7')
    expect(status).toBe(429)
    expect(headers.get('x-rate-limit-reset')).toBe(String(clockStart / 1_000 + 90))
    expect(headers.get('x-rate-limit-remaining')).toBe('0')
  })

  test('an outage of everything is one of who one is, too', async () => {
    const { call, publisher } = await open()
    publisher.faults.always('*', { error: 'unavailable' })
    expect((await call('GET', '/2/users/me')).status).toBe(503)
    publisher.faults.clear()
    expect((await call('GET', '/2/users/me')).status).toBe(200)
  })

  test('a fault after the fact publishes and answers nothing', async () => {
    const { call, publisher } = await open()
    publisher.faults.next('publish', { error: 'unavailable', when: 'after' })
    await expect(call('POST', '/2/tweets', { text: 'a' })).rejects.toThrow(TypeError)
    expect(publisher.posts).toHaveLength(1)
  })
})

test.each<unknown>([
  {},
  { token: '' },
  { token: 'a b' },
  { token: 7 },
  { token, scopes: ['tweet.delete'] },
  { token, scopes: 'tweet.read' },
  { token, origin: 'x' },
])('the options %j are refused', async (options) => {
  const publisher = new FakeSocialPublisher()
  const refusal = expect.objectContaining({ code: 'invalid-argument' })
  expect(() => xEmulator(publisher, options as { token: string })).toThrow(refusal)
  await expect(startXEmulator(publisher, options as { token: string })).rejects.toEqual(refusal)
})

test('a port that is taken is unavailable', async () => {
  const publisher = new FakeSocialPublisher({ clock: systemClock })
  await using first = await startXEmulator(publisher, { token })
  await expect(startXEmulator(publisher, { token, port: first.port })).rejects.toMatchObject({
    code: 'unavailable',
    outcome: 'not-applied',
  })
  await first.close()
  await first.close()
})
