/** The print shop's HTTP API on loopback, on top of the fake: the real adapter runs on it unmodified. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { PortError, type PortErrorCode } from 'portside'
import type { FakeTicketPrinter } from './fake.ts'

export interface PrintShopEmulator extends AsyncDisposable {
  /** As `PRINTER_URL` wants it, with the API key. */
  readonly url: string
  readonly origin: URL
  close(): Promise<void>
}

type Env = { Bindings: HttpBindings }

const answers: Partial<Record<PortErrorCode, readonly [status: 400 | 409 | 422 | 429 | 503, error: string]>> =
  {
    'already-exists': [409, 'job_exists'],
    'precondition-failed': [409, 'already_printed'],
    'invalid-argument': [422, 'bad_job'],
    rejected: [422, 'refused'],
    'rate-limited': [429, 'slow_down'],
    unavailable: [503, 'down'],
  }

/** Starts it on a free port. */
export async function startPrintShop(fake: FakeTicketPrinter, apiKey: string): Promise<PrintShopEmulator> {
  const { port } = fake.guarded
  const app = new Hono<Env>()
  app.use(async (c, next) => {
    if (c.req.header('authorization') === `Bearer ${apiKey}`) return next()
    return c.json({ error: 'bad_key' }, 401)
  })
  app.get('/v1/account', (c) => c.json({ ok: true }))
  app.put('/v1/jobs/:id', async (c) => {
    const { tickets } = await c.req.json()
    return c.json(await port.print(c.req.param('id'), tickets, { signal: c.req.raw.signal }))
  })
  app.get('/v1/jobs/:id', async (c) => {
    const job = await port.find(c.req.param('id'), { signal: c.req.raw.signal })
    return job === undefined ? c.json({ error: 'no_such_job' }, 404) : c.json(job)
  })
  app.delete('/v1/jobs/:id', async (c) => {
    await port.cancel(c.req.param('id'), { signal: c.req.raw.signal })
    return c.body(null, 204)
  })
  app.onError((error, c) => refusal(error, c))
  const server = createAdaptorServer({ fetch: app.fetch }) as Server
  // A client keeps connections for its next calls; neither end of them keeps this process alive.
  server.on('connection', (socket) => socket.unref())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return {
    url: `print-shop+http://key:${encodeURIComponent(apiKey)}@127.0.0.1:${address.port}`,
    origin: new URL(`http://127.0.0.1:${address.port}`),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function refusal(error: unknown, c: Context<Env>): Response {
  // A fault after the effect is an answer that never arrives.
  if (PortError.is(error) && error.outcome === 'unknown') {
    c.env.incoming.socket.destroy()
    return c.body(null)
  }
  const [status, word] = (PortError.is(error) ? answers[error.code] : undefined) ?? [400, 'bad_request']
  const retryAfterMs = PortError.is(error) ? error.retryAfterMs : undefined
  if (retryAfterMs !== undefined) c.header('retry-after', String(Math.ceil(retryAfterMs / 1_000)))
  return c.json({ error: word }, status)
}
