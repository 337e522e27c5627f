/** Opens the key-value store on a Redis URL for its contract. */
import { redis } from '../adapters/redis/index.ts'
import type { DatastoreDriver } from '../src/adapter.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { KeyValueStore } from '../src/ports/key-value-store.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject } from './contract.ts'

/** @param server the means to kill and restart what listens there */
export async function openOn(
  url: string,
  server?: OpenSubject<KeyValueStore>['server'],
): Promise<OpenSubject<KeyValueStore>> {
  const open = async (): Promise<Guarded<KeyValueStore>> => guard(KeyValueStore, await driverOf(url))
  return {
    guarded: await open(),
    openAnother: open,
    passTime: (ms) => systemClock.sleep(ms),
    canaries: [decodeURIComponent(new URL(url).password)],
    server,
  }
}

function driverOf(text: string): Promise<DatastoreDriver<KeyValueStore>> {
  const parsed = ServiceUrl.parse(text, redis.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return redis.open(parsed.url, { service: 'store', clock: systemClock })
}
