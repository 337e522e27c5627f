/** What the replacements of the egress guard ask, and what they are. */

/** Which of Node's own modules an attempt came to. */
type Via = 'net' | 'tls' | 'dgram' | 'dns'

/** What the replacements ask. */
export interface Gate {
  isActive(): boolean
  /** Whether it was allowed by name; the loopback need not be. */
  allows(host: string, port?: number): boolean
  /** Notes what an allowed name resolved to. */
  learn(name: string, addresses: readonly string[]): void
  /** Runs `call` so that what it connects to later is known to come from here. */
  underFetch<T>(call: () => T): T
  /** Puts an attempt into the ledgers and answers the error to fail with. */
  refuse(via: Via, host: string, port: number | undefined): Error
  /** {@link refuse} for an attempt that is made here and now, and may turn out to be none. */
  refusal(via: Via, host: string, port: number | undefined): () => Error
}

// What is replaced has overloads that no type can follow: these take whatever comes, as the originals do.
export type Method = (this: unknown, ...args: unknown[]) => unknown
export type Callback = (...args: unknown[]) => void
