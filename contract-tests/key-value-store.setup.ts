/** Opens the key-value store on a Redis URL for its contract. */
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { redis } from '../adapters/redis/index.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type CallEvent, type Guarded, guard } from '../src/calls/guard.ts'
import type { PortErrorCode } from '../src/errors.ts'
import { KeyValueStore } from '../src/ports/key-value-store.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { notingCodes } from './codes.ts'
import type { OpenSubject, Subject } from './contract.ts'
import type { InsideKeyValueStore } from './key-value-store/inside.ts'
import { networkTo } from './network.ts'
import { type OwnServer, startServer } from './servers.ts'

/** The server behind a URL, where it is ours. */
export interface OwnRedis {
  /** The means to kill and restart what listens there. */
  readonly server: NonNullable<OpenSubject<KeyValueStore>['server']>
  /** The administrator's URL of every node. */
  readonly admins: readonly string[]
}

/** @param seen where the code of every failure goes */
export async function openOn(
  url: string,
  own?: OwnRedis,
  seen: Set<PortErrorCode> = new Set(),
): Promise<OpenSubject<KeyValueStore>> {
  const clientOf: Client = (text, observe) => openRedis(text, seen, observe)
  const open = (): Promise<Guarded<KeyValueStore>> => clientOf(url)
  const refused = `canary-${randomBytes(8).toString('hex')}`
  // A cluster's nodes say by themselves where they are, so no proxy gets in between.
  const network =
    own?.admins.length === 1
      ? networkTo(Number(new URL(url).port), (port) => clientOf(changed(url, { port: String(port) })))
      : undefined
  return {
    guarded: await open(),
    openAnother: open,
    openObserved: (observe) => clientOf(url, observe),
    openRefused: own && (() => clientOf(changed(url, { password: refused }))),
    passTime: (ms) => systemClock.sleep(ms),
    canaries: [decodeURIComponent(new URL(url).password), refused],
    server: own?.server,
    inside: own && insideOf(url, own.admins, clientOf),
    network,
    dispose: network && (() => network.close()),
  }
}

/**
 * The adapter on a server of the test file's own, which is started before its tests and stopped after them.
 * @param seen where the code of every failure goes
 */
export function onOwnRedis(seen: Set<PortErrorCode> = new Set()): {
  readonly subject: Subject<KeyValueStore>
  /** How many places were opened. */
  readonly places: () => number
} {
  let server: OwnServer
  let places = 0
  beforeAll(async () => {
    server = await startServer('redis', { durable: true })
  })
  afterAll(() => server.dispose())
  return {
    places: () => places,
    subject: {
      name: 'ioredis on redis 7.0',
      id: 'redis-on-redis',
      kind: 'real',
      adapter: 'redis',
      server: async () => ({ product: server.identity.engine, version: server.identity.version }),
      async open() {
        places += 1
        const url = await server.provision(`place${places}`)
        return openOn(url, { server, admins: [server.adminUrl()] }, seen)
      },
      openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0', undefined, seen),
    },
  }
}

type Client = (text: string, observe?: (event: CallEvent) => void) => Promise<Guarded<KeyValueStore>>

async function openRedis(
  text: string,
  seen: Set<PortErrorCode>,
  observe?: (event: CallEvent) => void,
): Promise<Guarded<KeyValueStore>> {
  const parsed = ServiceUrl.parse(text, redis.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await redis.open(parsed.url, { service: 'store', clock: systemClock })
  const guarded = guard(KeyValueStore, driver, { secrets: parsed.url.secrets, observe })
  return notingCodes(KeyValueStore, guarded, seen)
}

function changed(text: string, parts: Partial<Record<'username' | 'password' | 'port', string>>): string {
  return Object.assign(new URL(text), parts).href
}

function insideOf(url: string, admins: readonly string[], clientOf: Client): InsideKeyValueStore {
  const { pathname, searchParams } = new URL(url)
  const onEach = (work: (node: Redis) => Promise<unknown>): Promise<unknown> =>
    Promise.all(admins.map((admin) => asAdmin(admin, work)))
  return {
    async openLimited() {
      const [username, password] = ['limited', randomBytes(12).toString('hex')]
      const rules = ['reset', 'on', `>${password}`, '~*allowed*', '+@all']
      await onEach((node) => node.call('ACL', 'SETUSER', username, ...rules))
      return clientOf(changed(url, { username, password }))
    },
    async whileFull(work) {
      await onEach((node) => node.config('SET', 'maxmemory', '1'))
      try {
        await work()
      } finally {
        await onEach((node) => node.config('SET', 'maxmemory', '0'))
      }
    },
    async plantList(key) {
      const full = (searchParams.get('keyPrefix') ?? '') + key
      const there = await Promise.all(
        admins.map((admin) =>
          asAdmin(admin, async (node) => {
            if (pathname.length > 1) await node.select(Number(pathname.slice(1)))
            // Of a cluster's nodes only the one that has the key's slot takes it.
            return node.rpush(full, 'an item').catch(() => undefined)
          }),
        ),
      )
      if (!there.includes(1)) throw new Error('no node took the list')
    },
  }
}

async function asAdmin<Result>(url: string, work: (node: Redis) => Promise<Result>): Promise<Result> {
  const node = new Redis(url, { lazyConnect: true })
  try {
    await node.connect()
    return await work(node)
  } finally {
    node.disconnect()
  }
}
