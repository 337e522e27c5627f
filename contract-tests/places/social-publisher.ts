/**
 * A social network has no place of one's own: what is published is seen. So nothing is published or deleted, and
 * what would have to be is skipped; or, where that was really asked for, each post is deleted after its behaviour.
 */
import type { SocialPublisher } from '../../src/ports/social-publisher.ts'
import { administer, type Connection, Limitation, onService, type Place, withCalls } from './place.ts'

export async function socialPublisherPlace(
  connection: Connection<SocialPublisher>,
): Promise<Place<SocialPublisher>> {
  const { account } = connection.really ?? {}
  /** Ours, and not known to be gone. */
  const published = new Set<string>()
  const remove = async (): Promise<void> => {
    if (published.size === 0) return
    await administer(connection, async (port) => {
      for (const id of [...published]) {
        await port.delete(id)
        published.delete(id)
      }
    })
  }
  return {
    description:
      account === undefined
        ? 'the account, on which nothing is published: what needs a post is skipped'
        : `the account ${account}; each post is deleted after its behaviour`,
    async open() {
      const limitation = new Limitation()
      const ours = new Set<string>()
      const open = async (change?: (url: URL) => void) => {
        const driver = await connection.open(change)
        const { calls } = driver
        const port: SocialPublisher = {
          async publish(post, options) {
            if (account === undefined) {
              return limitation.keep('it would publish real posts (--really with --account does)')
            }
            const answer = await calls.publish(post, options)
            published.add(answer.id)
            ours.add(answer.id)
            return answer
          },
          get: async (id, options) => calls.get(id, options),
          async delete(id, options) {
            // Any other may be someone's.
            if (!ours.has(id)) return limitation.keep('it would delete a post that this run did not publish')
            await calls.delete(id, options)
            published.delete(id)
          },
        }
        return withCalls(driver, port)
      }
      return { ...(await onService(connection, open)), limitation: limitation.reason, dispose: remove }
    },
    openUnreachable: connection.openUnreachable,
    remove,
  }
}
