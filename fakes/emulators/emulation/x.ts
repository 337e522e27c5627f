/** X's API among the emulations. */
import type { SocialPost } from '../../../src/ports/social-publisher.ts'
import { SocialPublisher } from '../../../src/ports/social-publisher.ts'
import { FakeSocialPublisher, fake } from '../../social-publisher.ts'
import { array, integer, object, type Schema, text } from '../control/schema.ts'
import { type HttpListener, listen } from '../http.ts'
import { type ForcedAnswer, xEmulator } from '../x.ts'
import { fakeOf, forceAll } from './common.ts'
import type { Emulation, Protocol } from './protocol.ts'
import { checkEntry } from './seed.ts'

const seedSchema: Schema = object({
  'posts?': array(object({ text: text(), 'inReplyTo?': text() }), 'as SocialPublisher.publish takes them'),
})

const forcedSchema: Schema = object({
  'status?': integer(200, 599),
  'body?': text(),
  'headers?': { type: 'object', additionalProperties: text() },
  'drop?': { type: 'boolean' },
  'when?': text(undefined, { enum: ['before', 'after'] }),
  'latencyMs?': integer(0, Number.MAX_SAFE_INTEGER),
  'operation?': text('publish, get, getMany, delete or me'),
  'times?': integer(1, Number.MAX_SAFE_INTEGER),
})

/** The token that is taken where none was given. */
export const developmentToken = 'portside-development-token'

export const xProtocol: Protocol = {
  port: 'social-publisher',
  usualPort: 9080,
  async create({ service, clock, seed, credentials, fake: factory = fake }) {
    const publisher = fakeOf(FakeSocialPublisher, factory.create({ service, clock, seed }), service)
    const { token = developmentToken } = credentials
    const emulator = xEmulator(publisher, { token })
    let listener: HttpListener | undefined
    const emulation: Emulation = {
      service,
      protocol: 'x',
      faults: publisher.faults,
      journal: publisher.journal,
      seedSchema,
      forcedSchema,
      state: () => ({
        posts: publisher.posts.map(({ at, ...post }) => ({ ...post, at: at.toISOString() })),
        rateLimits: Object.fromEntries(
          (['publish', 'delete', 'publishPerDay'] as const).map((limited) => [
            limited,
            limitOf(publisher, limited),
          ]),
        ),
      }),
      async seed(name, data) {
        const { posts = [] } = data as { readonly posts?: readonly SocialPost[] }
        for (const [index, post] of posts.entries())
          checkEntry(`${name}.posts[${index}]`, () => SocialPublisher.operations.publish.check?.(post, {}))
        return publisher.seed(...posts).length
      },
      force: (rules) => forceAll(emulation, rules, (rule) => emulator.force(rule as ForcedAnswer)),
      forced: () => emulator.forced,
      clearForced: () => emulator.clearForced(),
      reset() {
        emulator.reset()
      },
      save: (folder) => publisher.save(folder),
      load: (folder) => publisher.load(folder),
      async start({ host, port }) {
        listener = await listen(emulator, { host, port })
        const { origin } = listener
        return {
          url: origin,
          port: listener.port,
          serviceUrl: `x+http://bearer:${token}@${origin.slice('http://'.length)}`,
          environment: { X_API_ORIGIN: origin, X_BEARER_TOKEN: token },
          notes: ['bearer token as in the URL'],
        }
      },
      stop: async () => listener?.close(),
      close: () => publisher.guarded.close(),
    }
    return emulation
  },
}

function limitOf(publisher: FakeSocialPublisher, limited: 'publish' | 'delete' | 'publishPerDay'): unknown {
  const { resetAt, ...limit } = publisher.rateLimit(limited)
  return { ...limit, resetAt: resetAt.toISOString() }
}
