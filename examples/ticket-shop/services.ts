/** Every backing service of the shop, declared once for development, test and production. */
import {
  bounded,
  defineServices,
  KeyValueStore,
  Mailer,
  ObjectStorage,
  SocialPublisher,
  SqlDatabase,
  unbounded,
} from 'portside'
import { postgres } from 'portside/adapters/postgres'
import { redis } from 'portside/adapters/redis'
import { s3 } from 'portside/adapters/s3'
import { smtp } from 'portside/adapters/smtp'
import { x } from 'portside/adapters/x'
import { printShop } from './printer/http.ts'
import { TicketPrinter } from './printer/ticket-printer.ts'

export const services = defineServices({
  // Ours: real everywhere, at the version that production runs.
  orders: bounded(SqlDatabase, {
    adapter: postgres,
    version: '17.10',
    migrations: new URL('./migrations', import.meta.url),
  }),
  sessions: bounded(KeyValueStore, { adapter: redis, version: '7.0' }),
  // Someone else's: real in production, a fake in development and test.
  receipts: unbounded(ObjectStorage, { adapters: [s3], fake: () => import('portside/fakes/object-storage') }),
  mail: unbounded(Mailer, { adapters: [smtp], fake: () => import('portside/fakes/mailer') }),
  social: unbounded(SocialPublisher, {
    adapters: [x],
    fake: () => import('portside/fakes/social-publisher'),
  }),
  printer: unbounded(TicketPrinter, { adapters: [printShop], fake: () => import('./printer/fake.ts') }),
})
