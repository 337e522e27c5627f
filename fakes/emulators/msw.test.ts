import { once } from 'node:events'
import type http from 'node:http'
import https from 'node:https'
import { http as mswHttp } from 'msw'
import { setupServer } from 'msw/node'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { HttpReply, HttpRequest, HttpService } from './http.ts'
import { listen } from './http.ts'
import { mswHandlers } from './msw.ts'

const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const origin = 'https://api.example.invalid'

/** What a service saw of a request, with its body as text. */
type Seen = Omit<HttpRequest, 'body' | 'signal'> & { readonly text: string }

/** A service that answers as told and notes what it was asked. */
function noting(
  answer: (request: HttpRequest) => HttpReply | undefined,
): HttpService & { readonly seen: Seen[] } {
  const seen: Seen[] = []
  return {
    seen,
    async handle(request) {
      const { method, target, headers, body } = request
      const chunks: Uint8Array[] = []
      for await (const chunk of body) chunks.push(chunk)
      seen.push({ method, target, headers, text: Buffer.concat(chunks).toString() })
      return answer(request)
    },
  }
}

function answering(answer: (request: HttpRequest) => HttpReply | undefined): { readonly seen: Seen[] } {
  const service = noting(answer)
  server.use(...mswHandlers(service, origin))
  return service
}

/** Both skins of one service: what it says must reach a client alike. */
const skins = [
  [
    'msw',
    async (service: HttpService) => {
      server.use(...mswHandlers(service, origin))
      return origin
    },
  ],
  [
    'loopback',
    async (service: HttpService) => {
      const listener = await listen(service)
      onTestFinished(() => listener.close())
      server.use(mswHttp.all(`${listener.origin}/*`, () => undefined))
      return listener.origin
    },
  ],
] as const

describe.each(skins)('over %s', (_, serve) => {
  test('method, target, headers and body reach the service as they were sent', async () => {
    const service = noting(() => ({ status: 200 }))
    const at = await serve(service)
    await fetch(`${at}/a%20b/%2F/c+d//e?x=%20+&y`, {
      method: 'PUT',
      headers: { 'x-one': '1', 'content-type': 'text/x' },
      body: 'the body',
    })
    const [{ headers, ...seen } = {} as Seen] = service.seen
    expect(seen).toEqual({ method: 'PUT', target: '/a%20b/%2F/c+d//e?x=%20+&y', text: 'the body' })
    expect(headers).toMatchObject({ 'x-one': '1', 'content-type': 'text/x', host: new URL(at).host })
  })

  test('status, headers and body reach the client as the service gave them', async () => {
    const at = await serve(noting(() => ({ status: 418, headers: { 'x-two': 'a, b' }, body: 'short' })))
    const response = await fetch(`${at}/`)
    expect([response.status, response.headers.get('x-two'), await response.text()]).toEqual([
      418,
      'a, b',
      'short',
    ])
    expect(response.headers.get('content-type')).toBeNull()
    expect(response.headers.get('content-length')).toBe('5')
  })

  test('bytes arrive unchanged', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_unused, index) => index)
    const at = await serve(noting(() => ({ status: 200, body: bytes })))
    expect(new Uint8Array(await (await fetch(`${at}/`)).arrayBuffer())).toEqual(bytes)
  })

  test('HEAD has the headers of the answer and no body', async () => {
    const reply = { status: 200, headers: { 'content-length': '1234', etag: '"e"' }, body: '' }
    const at = await serve(noting(() => reply))
    const response = await fetch(`${at}/`, { method: 'HEAD' })
    expect([response.headers.get('content-length'), response.headers.get('etag')]).toEqual(['1234', '"e"'])
    expect(await response.text()).toBe('')
  })

  test.each([204, 304])('%i has no body', async (status) => {
    const at = await serve(noting(() => ({ status, headers: { 'x-a': 'b' }, body: 'never sent' })))
    const response = await fetch(`${at}/`)
    expect([response.status, response.headers.get('x-a'), await response.text()]).toEqual([status, 'b', ''])
  })

  test('no answer is a network error', async () => {
    const at = await serve(noting(() => undefined))
    await expect(fetch(`${at}/`)).rejects.toThrow(new TypeError('fetch failed'))
  })

  test('a service that throws is one, too', async () => {
    const at = await serve({ handle: () => Promise.reject(new Error('a defect')) })
    await expect(fetch(`${at}/`)).rejects.toThrow(new TypeError('fetch failed'))
  })

  test('an answer may come in pieces, each as soon as it is there', async () => {
    const gate = Promise.withResolvers<void>()
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one')
      await gate.promise
      yield Buffer.from('two')
    }
    const at = await serve({ handle: async () => ({ status: 200, body: body() }) })
    const reader = (await fetch(`${at}/`)).body?.getReader()
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('one')
    gate.resolve()
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('two')
    expect((await reader?.read())?.done).toBe(true)
  })

  test('a body that fails half-way fails the answer', async () => {
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('one')
      throw new Error('half-way')
    }
    const at = await serve({
      handle: async () => ({ status: 200, headers: { 'content-length': '6' }, body: body() }),
    })
    const response = fetch(`${at}/`).then((each) => each.text())
    await expect(response).rejects.toThrow(TypeError)
  })

  test('a request may come in pieces', async () => {
    const service = noting(() => ({ status: 200 }))
    const at = await serve(service)
    const body = ReadableStream.from([Buffer.from('one '), Buffer.from('two')])
    await fetch(`${at}/`, { method: 'POST', body, duplex: 'half' } as RequestInit)
    expect(service.seen[0]?.text).toBe('one two')
  })

  test('a client that leaves is told to the service, and the body it did not take is ended', async () => {
    const aborted = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    async function* body(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield Buffer.alloc(1_024)
          await new Promise((resolve) => setTimeout(resolve, 2))
        }
      } finally {
        ended.resolve()
      }
    }
    const at = await serve({
      async handle({ signal }) {
        signal.addEventListener('abort', () => aborted.resolve())
        return { status: 200, body: body() }
      },
    })
    const controller = new AbortController()
    await fetch(`${at}/`, { signal: controller.signal })
    controller.abort()
    await Promise.all([aborted.promise, ended.promise])
  })

  test('a client that leaves before there is an answer is told to the service', async () => {
    const asked = Promise.withResolvers<void>()
    const aborted = Promise.withResolvers<void>()
    const at = await serve({
      async handle({ signal }) {
        signal.addEventListener('abort', () => aborted.resolve())
        asked.resolve()
        await aborted.promise
        return { status: 200 }
      },
    })
    const controller = new AbortController()
    const pending = fetch(`${at}/`, { signal: controller.signal })
    await asked.promise
    controller.abort()
    await expect(pending).rejects.toMatchObject({ name: 'AbortError' })
    await aborted.promise
  })
})

describe('under msw', () => {
  test('node:https is answered as well as fetch', async () => {
    const { seen } = answering(() => ({ status: 201, body: 'made' }))
    const request = https.request(`${origin}/x`, { method: 'POST' })
    request.end('body')
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(response.statusCode).toBe(201)
    expect(Buffer.concat(await response.toArray()).toString()).toBe('made')
    expect(seen).toMatchObject([{ method: 'POST', target: '/x', text: 'body' }])
  })

  test.each(['/data.json', '/pixel.png', '/receipt.pdf', '/node_modules/x.js', '/'])(
    'the path %s is answered, though msw takes some for assets',
    async (path) => {
      const { seen } = answering(() => ({ status: 200, body: 'here' }))
      expect(await (await fetch(`${origin}${path}`)).text()).toBe('here')
      expect(seen.map(({ target }) => target)).toEqual([path])
    },
  )

  test.each([
    ['https://api.example.invalid', 'https://api.example.invalid/', true],
    ['https://api.example.invalid', 'https://API.example.invalid:443/', true],
    ['https://api.example.invalid', 'http://api.example.invalid/', false],
    ['https://api.example.invalid', 'https://api.example.invalid:8443/', false],
    ['https://api.example.invalid', 'https://api.example.invalid.evil.invalid/', false],
    ['https://api.example.invalid', 'https://apixexample.invalid/', false],
    ['https://api.example.invalid:443', 'https://api.example.invalid/', true],
    ['http://api.example.invalid:80', 'http://api.example.invalid/', true],
    ['https://*.s3.amazonaws.com', 'https://bucket.s3.amazonaws.com/', true],
    ['https://*.s3.amazonaws.com', 'https://a.bucket.s3.amazonaws.com/key', true],
    ['https://*.s3.amazonaws.com', 'https://s3.amazonaws.com/', false],
    ['https://*.s3.amazonaws.com', 'https://evil.invalid/.s3.amazonaws.com', false],
    ['https://*.s3.*.amazonaws.com', 'https://bucket.s3.eu-central-1.amazonaws.com/', true],
    ['http://127.0.0.1:*', 'http://127.0.0.1:9009/', true],
    ['http://[::1]:9000', 'http://[::1]:9000/', true],
  ])('%s takes %s: %s', async (pattern, url, takes) => {
    server.use(...mswHandlers({ handle: async () => ({ status: 200, body: 'ours' }) }, [pattern]))
    const answer = fetch(url).then((response) => response.text())
    // msw tells of what it refuses.
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => told.mockRestore())
    if (takes) expect(await answer).toBe('ours')
    else await expect(answer).rejects.toThrow(TypeError)
  })

  test('several origins are one service', async () => {
    const service = noting(() => ({ status: 200 }))
    server.use(...mswHandlers(service, ['https://a.example', 'https://b.example']))
    await fetch('https://a.example/1')
    await fetch('https://b.example/2')
    expect(service.seen.map(({ headers, target }) => `${headers.host}${target}`)).toEqual([
      'a.example/1',
      'b.example/2',
    ])
  })

  test.each([
    [''],
    ['api.example.invalid'],
    ['https://api.example.invalid/path'],
    ['ftp://a.b'],
    [[]],
    [7],
    ['https://'],
  ])('the origin %j is refused', (origins) => {
    expect(() => mswHandlers({ handle: async () => undefined }, origins as string)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })
})
