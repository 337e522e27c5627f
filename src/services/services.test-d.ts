/** What must not compile, and what must: checked by the compiler, never run. */
import type { Adapter, DatastoreAdapter, SeedableAdapter } from '../adapter.ts'
import type { CallOptions, Port } from '../port.ts'
import { type Attached, attach, type Fakes } from './attach.ts'
import {
  type BoundedService,
  bounded,
  defineServices,
  type FakeLike,
  type FakeModule,
  unbounded,
} from './declare.ts'
import { type Native, native } from './native.ts'

interface Orders {
  add(id: string, options?: CallOptions): Promise<void>
}
interface Mail {
  send(to: string, options?: CallOptions): Promise<{ readonly id: string }>
}
class Pool {
  readonly idleCount: number = 0
}
class Wire {
  readonly port: number = 25
}
interface FakeMail extends Mail, FakeLike<Mail> {
  readonly outbox: readonly string[]
}
interface FakeOrders extends Orders, FakeLike<Orders> {}

declare const Orders: Port<Orders>
declare const Mail: Port<Mail>
declare const pg: DatastoreAdapter<Orders, Pool>
declare const seedable: SeedableAdapter<Orders, Pool>
declare const store: DatastoreAdapter<Mail, Pool>
declare const plain: Adapter<Orders, Pool>
declare const smtp: Adapter<Mail, Wire>
declare const fakeMail: FakeModule<Mail, FakeMail>
declare const fakeOrders: FakeModule<Orders, FakeOrders>

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function holds<Claim extends true>(): Claim | undefined {
  return undefined
}

// A bounded service is real and has a version.
bounded(Orders, { adapter: pg, version: '17.10' })
bounded(Orders, { adapter: pg, version: '17.10', migrations: './migrations' })
// @ts-expect-error a bounded service has no fake
bounded(Orders, { adapter: pg, version: '17.10', fake: fakeOrders })
// @ts-expect-error a bounded service has a version
bounded(Orders, { adapter: pg })
// @ts-expect-error an adapter that cannot say which server it runs on cannot be pinned
bounded(Orders, { adapter: plain, version: '17.10' })
// @ts-expect-error an adapter of another port
bounded(Orders, { adapter: store, version: '17.10' })
// @ts-expect-error an adapter of another port, the other way round
bounded(Mail, { adapter: pg, version: '17.10' })

// A seed is for what has a schema to make data for.
bounded(Orders, { adapter: seedable, version: '17.10' })
holds<Equal<ReturnType<typeof seeded>, BoundedService<Orders, Pool>>>()
function seeded() {
  return bounded(Orders, { adapter: seedable, version: '17.10', seed: new URL('./seed.ts', import.meta.url) })
}
bounded(Orders, { adapter: seedable, version: '17.10', seed: './seed.ts' })
bounded(Orders, { adapter: seedable, version: '17.10', seed: { rows: 20, seed: 7 } })
// @ts-expect-error an adapter that makes no data
bounded(Orders, { adapter: pg, version: '17.10', seed: './seed.ts' })
// @ts-expect-error a seed that is none
bounded(Orders, { adapter: seedable, version: '17.10', seed: { size: 5 } })
// @ts-expect-error an adapter of another port
bounded(Mail, { adapter: seedable, version: '17.10', seed: './seed.ts' })
// @ts-expect-error someone else's data are theirs
unbounded(Mail, { adapters: [smtp], fake: fakeMail, seed: './seed.ts' })

// An unbounded service has a fake and no version.
unbounded(Mail, { adapters: [smtp], fake: fakeMail })
unbounded(Mail, { adapters: [smtp, store], fake: fakeMail })
// @ts-expect-error an unbounded service has a fake
unbounded(Mail, { adapters: [smtp] })
// @ts-expect-error an unbounded service has at least one adapter
unbounded(Mail, { adapters: [], fake: fakeMail })
// @ts-expect-error someone else's service cannot be pinned
unbounded(Mail, { adapters: [smtp], fake: fakeMail, version: '1' })
// @ts-expect-error an adapter of another port
unbounded(Mail, { adapters: [plain], fake: fakeMail })
// @ts-expect-error one adapter of another port among those of this one
unbounded(Mail, { adapters: [smtp, plain], fake: fakeMail })
// @ts-expect-error a fake of another port
unbounded(Mail, { adapters: [smtp], fake: fakeOrders })

const services = defineServices({
  orders: bounded(Orders, { adapter: pg, version: '17.10' }),
  mail: unbounded(Mail, { adapters: [smtp], fake: fakeMail }),
})

export async function used(): Promise<void> {
  await using app = await attach(services)
  holds<Equal<typeof app.orders, Orders & Native<Pool>>>()
  holds<Equal<typeof app.mail, Mail>>()
  const pool: Pool = native(app.orders)
  const { id }: { readonly id: string } = await app.mail.send('a@example.com', { timeoutMs: 100 })
  await app.orders.add(`${id}${pool.idleCount}`)
  // @ts-expect-error the client behind it is a Pool
  const wire: Wire = native(app.orders)
  // @ts-expect-error nothing of this name was declared
  app.receipts
  // @ts-expect-error the app's services are not to be replaced
  app.mail = { send: app.mail.send }
  // @ts-expect-error an option that no operation knows
  await app.orders.add('1', { fast: true })
  // @ts-expect-error the controls of a fake are not on the port
  app.mail.outbox
  void wire
}

export function faked(fakes: Fakes<typeof services>, app: Attached<typeof services>): readonly string[] {
  holds<Equal<keyof typeof fakes, 'mail'>>()
  holds<Equal<typeof fakes.mail, FakeMail>>()
  // @ts-expect-error a bounded service has no fake to read
  fakes.orders
  // @ts-expect-error the fakes are not the app
  fakes.close()
  void app.describe()
  return fakes.mail.outbox
}
