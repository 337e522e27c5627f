/** Who is logged in: sessions in Redis that end by themselves. */
import { createHash, randomBytes } from 'node:crypto'
import { type KeyValueStore, namespace, type TypedView, typedView } from 'portside'
import { z } from 'zod'

const Session = z.object({ email: z.string(), startedAt: z.iso.datetime() })
export type Session = z.infer<typeof Session>

/** A session that is not used for this long ends. */
export const sessionTtlMs = 30 * 60_000

export class Sessions {
  readonly #store: KeyValueStore
  readonly #view: TypedView<Session>

  constructor(store: KeyValueStore) {
    this.#store = namespace(store, 'session:')
    this.#view = typedView(this.#store, Session)
  }

  /** Starts one; resolves with its token. A stub: a real shop would first make sure that the address is theirs. */
  async start(email: string): Promise<string> {
    const token = randomBytes(32).toString('base64url')
    const session = { email, startedAt: new Date().toISOString() }
    await this.#view.set(nameOf(token), session, { ttlMs: sessionTtlMs })
    return token
  }

  /** The session, which lasts longer by being used; `undefined` where it ended or never was. */
  async find(token: string): Promise<Session | undefined> {
    const session = await this.#view.get(nameOf(token))
    if (session !== undefined) await this.#store.touch(nameOf(token), sessionTtlMs)
    return session
  }

  /** Ending one that is not there is no error. */
  async end(token: string): Promise<void> {
    await this.#view.delete(nameOf(token))
  }
}

/** Not the token itself: who can read the keys of the store is not to be able to log in with them. */
function nameOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
