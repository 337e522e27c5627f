/** A prefix of a bucket as a bucket of its own. */
import type { Driver } from '../../src/adapter.ts'
import { byteLength } from '../../src/calls/arguments.ts'
import { openPageToken, sealPageToken } from '../../src/calls/page-token.ts'
import { type ListOptions, type ObjectStorage, pageQuery } from '../../src/ports/object-storage.ts'
import { collect } from '../expect.ts'
import {
  administer,
  assertDeleted,
  type Connection,
  Limitation,
  onService,
  type Place,
  withCalls,
} from './place.ts'

const longestKeyBytes = 1_024

/** A prefix of the service's bucket, a new one below it each time it is opened. */
export async function objectStoragePlace(
  connection: Connection<ObjectStorage>,
): Promise<Place<ObjectStorage>> {
  const whole = `${connection.name}/`
  const remove = (prefix: string): Promise<void> =>
    administer(connection, async (storage) => {
      const objects = await collect(storage.listAll({ prefix }))
      assertDeleted(await storage.deleteMany(objects.map(({ key }) => key)))
    })
  let opened = 0
  return {
    description: `the prefix ${whole} of the bucket`,
    async open() {
      opened += 1
      const prefix = `${whole}${process.pid.toString(36)}-${opened}/`
      const limitation = new Limitation()
      const open = async (change?: (url: URL) => void): Promise<Driver<ObjectStorage>> => {
        const driver = await connection.open(change)
        return withCalls(driver, prefixed(driver.calls, prefix, limitation))
      }
      return {
        ...(await onService(connection, open)),
        limitation: limitation.reason,
        dispose: () => remove(prefix),
      }
    },
    openUnreachable: connection.openUnreachable,
    remove: () => remove(whole),
  }
}

/**
 * The objects of `storage` whose keys begin with `prefix`, named without it. Below the guard, so that checks and
 * errors speak of the keys that the caller gave.
 */
export function prefixed(storage: ObjectStorage, prefix: string, limitation: Limitation): ObjectStorage {
  const whole = (key: string): string => {
    const bytes = byteLength(prefix + key)
    if (bytes <= longestKeyBytes) return prefix + key
    return limitation.keep(
      `its place is a prefix, which leaves ${longestKeyBytes - byteLength(prefix)} bytes for a key`,
    )
  }
  const own = (key: string): string => key.slice(prefix.length)
  const query = <Options extends ListOptions>(options: Options): Options => ({
    ...options,
    prefix: whole(options.prefix ?? ''),
    ...(options.startAfter === undefined ? {} : { startAfter: whole(options.startAfter) }),
  })
  return {
    async put(key, body, options) {
      return { ...(await storage.put(whole(key), body, options)), key }
    },
    async get(key, options) {
      const object = await storage.get(whole(key), options)
      return object && { ...object, info: { ...object.info, key: own(object.info.key) } }
    },
    async head(key, options) {
      const info = await storage.head(whole(key), options)
      return info && { ...info, key: own(info.key) }
    },
    delete: async (key, options) => storage.delete(whole(key), options),
    async deleteMany(keys, options) {
      const result = await storage.deleteMany(keys.map(whole), options)
      return { ...result, items: result.items.map((item) => ({ ...item, key: own(item.key) })) }
    },
    async copy(source, destination, options) {
      return { ...(await storage.copy(whole(source), whole(destination), options)), key: destination }
    },
    async list({ pageToken, ...options } = {}) {
      const inner = query(options)
      // A token is bound to the query that it came from: out of the caller's, and into the one below.
      const sealed =
        pageToken && sealPageToken(pageQuery(inner), openPageToken(pageQuery(options), pageToken))
      const page = await storage.list(sealed === undefined ? inner : { ...inner, pageToken: sealed })
      const { nextPageToken: next } = page
      return {
        objects: page.objects.map((object) => ({ ...object, key: own(object.key) })),
        prefixes: page.prefixes.map(own),
        nextPageToken: next && sealPageToken(pageQuery(options), openPageToken(pageQuery(inner), next)),
      }
    },
    async *listAll(options = {}) {
      for await (const object of storage.listAll(query(options))) yield { ...object, key: own(object.key) }
    },
    signUrl: async (key, options) => storage.signUrl(whole(key), options),
  }
}
