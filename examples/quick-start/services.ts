import {
  bounded,
  defineServices,
  KeyValueStore,
  Mailer,
  ObjectStorage,
  SqlDatabase,
  unbounded,
} from 'portside'
import { postgres } from 'portside/adapters/postgres'
import { redis } from 'portside/adapters/redis'
import { s3 } from 'portside/adapters/s3'
import { smtp } from 'portside/adapters/smtp'

export const services = defineServices({
  // Yours: the same version in development, test and production. It has no fake, by type.
  orders: bounded(SqlDatabase, {
    adapter: postgres,
    version: '17.10',
    migrations: new URL('./migrations', import.meta.url),
  }),
  sessions: bounded(KeyValueStore, { adapter: redis, version: '7.0' }),
  // Someone else's: real in production, a fake everywhere else.
  receipts: unbounded(ObjectStorage, { adapters: [s3], fake: () => import('portside/fakes/object-storage') }),
  mail: unbounded(Mailer, { adapters: [smtp], fake: () => import('portside/fakes/mailer') }),
})
