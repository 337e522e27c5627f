import { Hono } from 'hono'
import { expect, test, vi } from 'vitest'
import { parityHandler } from './handler.ts'
import type { ParityReport } from './report.ts'

const report = { format: 1, services: [] } as unknown as ParityReport
const ask = (method = 'GET'): Request => new Request('http://127.0.0.1/parity', { method })

test('answers a fetch request with the report, which nothing may keep', async () => {
  const parity = vi.fn(async () => report)
  const response = await parityHandler({ parity }, { authorize: 'upstream', evidence: 'somewhere' })(ask())
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual(report)
  expect(response.headers.get('content-type')).toMatch(/^application\/json/)
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(parity).toHaveBeenCalledExactlyOnceWith({ evidence: 'somewhere' })
})

test("is a handler of hono's, behind whatever the app puts before it", async () => {
  const app = new Hono()
  app.use('/admin/*', async (c, next) => {
    if (c.req.header('authorization') !== 'Bearer me') return c.text('no', 401)
    await next()
    return undefined
  })
  const parity = vi.fn(async () => report)
  app.get('/admin/parity', parityHandler({ parity }, { authorize: 'upstream' }))
  expect((await app.request('/admin/parity')).status).toBe(401)
  expect(parity).not.toHaveBeenCalled()
  const allowed = await app.request('/admin/parity', { headers: { authorization: 'Bearer me' } })
  expect(await allowed.json()).toEqual(report)
})

test('makes one report for all who ask at once, and a new one for the next', async () => {
  const parity = vi.fn(async () => {
    await new Promise((resolve) => setTimeout(resolve, 20))
    return report
  })
  const handler = parityHandler({ parity }, { authorize: 'upstream' })
  await Promise.all([handler(ask()), handler(ask()), handler(ask())])
  expect(parity).toHaveBeenCalledTimes(1)
  await handler(ask())
  expect(parity).toHaveBeenCalledTimes(2)
})

test('answers HEAD without a body, and refuses any other method without asking', async () => {
  const parity = vi.fn(async () => report)
  const handler = parityHandler({ parity }, { authorize: 'upstream' })
  const head = await handler(ask('HEAD'))
  expect([head.status, await head.text()]).toEqual([200, ''])
  const posted = await handler(ask('POST'))
  expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  expect(parity).toHaveBeenCalledTimes(1)
})

test('that fails tells the caller nothing of why, and works again afterwards', async () => {
  const parity = vi.fn(async () => report).mockRejectedValueOnce(new Error('canary'))
  const handler = parityHandler({ parity }, { authorize: 'upstream' })
  const failed = await handler(ask())
  expect(failed.status).toBe(500)
  expect(await failed.text()).not.toContain('canary')
  expect((await handler(ask())).status).toBe(200)
})

test.each<unknown>([undefined, {}, { authorize: undefined }, { authorize: true }, { authorize: 'none' }])(
  'is not made by %j, which does not say who may see it',
  (options) =>
    expect(() => parityHandler({ parity: async () => report }, options as never)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    ),
)

test.each<[string, () => unknown, number, number]>([
  ['true', () => true, 200, 1],
  ['a promise of true', async () => true, 200, 1],
  ['false', () => false, 403, 0],
  ['a promise of false', async () => false, 403, 0],
  ['nothing', () => undefined, 403, 0],
  ['what is only like true', () => ({}), 403, 0],
  ['an answer of its own', () => new Response(null, { status: 401 }), 401, 0],
  ['an error', () => Promise.reject(new Error('canary')), 500, 0],
])('asked whether to let it in and told %s', async (_, told, status, asked) => {
  const parity = vi.fn(async () => report)
  const authorize = vi.fn((_request: Request) => told() as boolean)
  const request = ask()
  const response = await parityHandler({ parity }, { authorize })({ req: { raw: request } })
  expect([response.status, parity.mock.calls.length]).toEqual([status, asked])
  expect(authorize).toHaveBeenCalledExactlyOnceWith(request)
  if (status !== 200) expect(await response.text()).not.toMatch(/canary|services/)
})

test('lets nobody in on what another was let in for', async () => {
  const made = Promise.withResolvers<ParityReport>()
  const handler = parityHandler(
    { parity: () => made.promise },
    { authorize: (request) => request.headers.get('authorization') === 'Bearer me' },
  )
  const admin = handler(new Request('http://127.0.0.1/parity', { headers: { authorization: 'Bearer me' } }))
  expect((await handler(ask())).status).toBe(403)
  made.resolve(report)
  expect((await admin).status).toBe(200)
})
