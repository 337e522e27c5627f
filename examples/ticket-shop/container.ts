/** Puts the shop together. The attached services are constants; opening and closing them stays with `attach`. */
import { Container, type ServiceIdentifier } from 'inversify'
import type { Attached } from 'portside'
import { attachedModule, serviceIdentifiers } from 'portside/inversify'
import type { Logger } from './log.ts'
import { type Effects, makeEffects } from './outbox/effects.ts'
import { Outbox } from './outbox/outbox.ts'
import { defaultWorkerSettings, OutboxWorker, type WorkerSettings } from './outbox/worker.ts'
import { services } from './services.ts'
import { Events } from './shop/events.ts'
import { Orders } from './shop/orders.ts'
import { RecentOrders } from './shop/recent-orders.ts'
import { Sessions } from './shop/sessions.ts'

export type ShopServices = Attached<typeof services>

const effects: ServiceIdentifier<Effects> = Symbol('effects')

export async function createContainer(
  app: ShopServices,
  log: Logger,
  worker: Partial<WorkerSettings> = {},
): Promise<Container> {
  const { orders, sessions, receipts, mail, social, printer } = serviceIdentifiers(services)
  const container = new Container({ defaultScope: 'Singleton' })
  await container.load(attachedModule(services, app))
  container.bind(Events).toResolvedValue((database) => new Events(database), [orders])
  container.bind(Orders).toResolvedValue((database) => new Orders(database), [orders])
  container.bind(Sessions).toResolvedValue((store) => new Sessions(store), [sessions])
  container.bind(RecentOrders).toResolvedValue((store) => new RecentOrders(store), [sessions])
  container.bind(Outbox).toResolvedValue((database) => new Outbox(database), [orders])
  container.bind(effects).toResolvedValue(makeEffects, [orders, receipts, mail, social, printer])
  container
    .bind(OutboxWorker)
    .toResolvedValue(
      (outbox, todo) => new OutboxWorker(outbox, todo, log, { ...defaultWorkerSettings, ...worker }),
      [Outbox, effects],
    )
  return container
}
