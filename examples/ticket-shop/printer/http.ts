/**
 * The print shop's HTTP API over fetch: `PUT`, `GET` and `DELETE /v1/jobs/{id}`, `GET /v1/account`, with an API key
 * as bearer token. Plain HTTP is possible on loopback only, for the emulator.
 */
import { type Adapter, type CallOptions, type Driver, isLoopback, PortError } from 'portside'
import { z } from 'zod'
import { classifyPrintShopError, PrintShopRefusal } from './errors.ts'
import { type PrintJob, type Ticket, TicketPrinter } from './ticket-printer.ts'

export const printShop: Adapter<TicketPrinter> = {
  name: 'print-shop',
  port: TicketPrinter,
  schemes: ['print-shop', 'print-shop+http'],
  example: 'print-shop://key:API_KEY@api.print-shop.example',
  parameters: {},
  validate(url) {
    const problems: string[] = []
    if (url.host === '') problems.push('it names no host')
    if (url.path !== '') problems.push('it has a path; the API has its own')
    if ((url.password ?? '') === '') problems.push('it has no API key; put it where the password stands')
    if (url.scheme === 'print-shop+http' && !isLoopback(url.host)) {
      problems.push('"print-shop+http" would send the API key in the clear; it is for loopback only')
    }
    return problems
  },
  async open(url) {
    const host = url.host.includes(':') ? `[${url.host}]` : url.host
    const origin = new URL(`${url.scheme === 'print-shop+http' ? 'http' : 'https'}://${host}`)
    if (url.port !== undefined) origin.port = String(url.port)
    return printShopTicketPrinter({ origin, apiKey: url.password ?? '' })
  },
}

export interface PrintShopOptions {
  /** Where the API is: `https://api.print-shop.example`. */
  readonly origin: URL
  readonly apiKey: string
}

/** The port over a print shop's API. */
export function printShopTicketPrinter(options: PrintShopOptions): Driver<TicketPrinter> {
  const calls = new HttpTicketPrinter(options)
  return {
    calls,
    secrets: [options.apiKey],
    classify: classifyPrintShopError,
    ping: ({ signal }) => calls.ping(signal),
    // Its connections are fetch's own, which nothing here has opened.
    close: async () => {},
  }
}

const Job: z.ZodType<PrintJob> = z.object({
  id: z.string(),
  tickets: z.array(z.object({ event: z.string(), seat: z.string(), holder: z.string() })),
  status: z.enum(['waiting', 'printed']),
})

class HttpTicketPrinter implements TicketPrinter {
  readonly #options: PrintShopOptions

  constructor(options: PrintShopOptions) {
    this.#options = options
  }

  async print(jobId: string, tickets: readonly Ticket[], { signal }: CallOptions = {}): Promise<PrintJob> {
    const response = await this.#request('PUT', `/v1/jobs/${jobId}`, signal, { tickets })
    // Whatever the answer's body holds, the job was taken.
    return jobIn(response, 'applied')
  }

  async find(jobId: string, { signal }: CallOptions = {}): Promise<PrintJob | undefined> {
    const response = await this.#request('GET', `/v1/jobs/${jobId}`, signal)
    return response === undefined ? undefined : jobIn(response, 'not-applied')
  }

  async cancel(jobId: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#request('DELETE', `/v1/jobs/${jobId}`, signal)
  }

  async ping(signal: AbortSignal): Promise<void> {
    await this.#request('GET', '/v1/account', signal)
  }

  /** The answer's text; `undefined` where there is no such job. */
  async #request(
    method: string,
    path: string,
    signal: AbortSignal | undefined,
    body?: object,
  ): Promise<string | undefined> {
    const { origin, apiKey } = this.#options
    const response = await fetch(new URL(path, origin), {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      // A redirect would carry the API key to wherever it points.
      redirect: 'error',
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (response.ok) return text
    if (response.status === 404 && path.startsWith('/v1/jobs/') && method !== 'PUT') return undefined
    throw new PrintShopRefusal(response.status, text, response.headers.get('retry-after'))
  }
}

function jobIn(text: string | undefined, outcome: 'applied' | 'not-applied'): PrintJob {
  const job = Job.safeParse(jsonIn(text ?? ''))
  if (job.success) return job.data
  throw new PortError({
    code: 'corrupt',
    message: 'the print shop answered with something that is no job',
    outcome,
  })
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
