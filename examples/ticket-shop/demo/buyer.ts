/** A buyer with a browser that behaves: it repeats what was not answered, always with the same Idempotency-Key. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

/** An order the shop has said yes to. */
export interface Acknowledged {
  readonly orderId: string
  readonly eventId: string
  readonly buyer: string
  readonly key: string
  /** What was asked for. */
  readonly wish: Wish
  readonly seats: readonly string[]
}

export type Wish = { readonly eventId: string } & (
  | { readonly bestAvailable: number }
  | { readonly seats: readonly string[] }
)

export class Buyer {
  readonly email: string
  /** How often an answer was 503 or none at all. */
  retries = 0
  readonly #shop: URL
  readonly #signal: AbortSignal
  #token = ''

  constructor(shop: URL, email: string, signal: AbortSignal) {
    this.#shop = shop
    this.email = email
    this.#signal = signal
  }

  async logIn(): Promise<void> {
    const response = await this.#send('/sessions', { email: this.email })
    if (response.status !== 201) throw new Error(`logging in was answered with ${response.status}`)
    const { token } = (await response.json()) as { token: string }
    this.#token = token
  }

  /** The order; `undefined` where the shop says that it is sold out. */
  async order(wish: Wish, key: string = randomUUID()): Promise<Acknowledged | undefined> {
    const response = await this.#send('/orders', wish, { 'idempotency-key': key })
    if (response.status === 409) return undefined
    if (!response.ok)
      throw new Error(`an order was answered with ${response.status}: ${await response.text()}`)
    const { id, eventId, seats } = (await response.json()) as { id: string; eventId: string; seats: string[] }
    return { orderId: id, eventId, buyer: this.email, key, wish, seats }
  }

  /** Sends until there is an answer other than "not now". */
  async #send(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const request = {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.#token}`, ...headers },
      body: JSON.stringify(body),
      signal: this.#signal,
    }
    for (;;) {
      // No answer at all is answered like "not now": the key makes the repetition harmless.
      const response = await fetch(new URL(path, this.#shop), request).catch(() => undefined)
      this.#signal.throwIfAborted()
      if (response !== undefined && response.status !== 503) return response
      await response?.body?.cancel()
      this.retries += 1
      const waitMs = Number(response?.headers.get('retry-after') ?? 1) * 1_000
      // Half of it is chance, so that all buyers do not come back in the same moment.
      await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal: this.#signal })
    }
  }
}
