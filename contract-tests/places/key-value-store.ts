/** A namespace of a store, its keys beginning with a word that no one else uses. */
import type { Driver } from '../../src/adapter.ts'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { namespace } from '../../src/ports/key-value-views.ts'
import { collect } from '../expect.ts'
import { administer, assertDeleted, type Connection, onService, type Place, withCalls } from './place.ts'

/** A namespace of the service's store, a new one each time it is opened. */
export async function keyValueStorePlace(
  connection: Connection<KeyValueStore>,
): Promise<Place<KeyValueStore>> {
  const whole = `${connection.name}-`
  const remove = (prefix: string): Promise<void> =>
    administer(connection, async (store) =>
      assertDeleted(await store.deleteMany(await collect(store.scan(prefix)))),
    )
  let opened = 0
  return {
    description: `keys that begin with ${whole}`,
    async open() {
      opened += 1
      const prefix = `${whole}${process.pid.toString(36)}-${opened}:`
      const open = async (change?: (url: URL) => void): Promise<Driver<KeyValueStore>> => {
        const driver = await connection.open(change)
        // Below the guard, so that checks and errors speak of the keys that the caller gave.
        return withCalls(driver, namespace(driver.calls, prefix))
      }
      return { ...(await onService(connection, open)), dispose: () => remove(prefix) }
    },
    openUnreachable: connection.openUnreachable,
    remove: () => remove(whole),
  }
}
