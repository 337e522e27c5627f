/** What must not compile of `testWith`. */
import type { FakeMailer } from '../../fakes/mailer.ts'
import type { Mailer } from '../ports/mailer.ts'
import { sql } from '../ports/sql.ts'
import type { SqlDatabase } from '../ports/sql-database.ts'
import type { BoundedService, UnboundedService } from '../services/declare.ts'
import { testWith as nodeTestWith } from './node-test.ts'
import { testWith } from './vitest.ts'

declare const services: {
  readonly orders: BoundedService<SqlDatabase, unknown>
  readonly mail: UnboundedService<Mailer, FakeMailer>
}

export function types(): void {
  for (const declare of [testWith, nodeTestWith]) {
    declare(services, { isolation: 'file', datastores: { orders: { rights: { role: 'shop_app' } } } })
    declare(services, {
      datastores: {
        orders: {
          rights: 'owner',
          extensions: ['postgis'],
          // The port of that very service.
          seed: { key: '1', apply: async (orders) => void (await orders.execute(sql`select 1`)) },
        },
      },
    })
    // Nothing, though the service declares a seed.
    declare(services, { datastores: { orders: { seed: false } } })
    // @ts-expect-error a service of someone else has a fake, no datastore
    declare(services, { datastores: { mail: {} } })
    // @ts-expect-error tests never have a superuser
    declare(services, { datastores: { orders: { rights: 'superuser' } } })
    // @ts-expect-error a seed without a key would never be written again
    declare(services, { datastores: { orders: { seed: { apply: async () => {} } } } })
    // @ts-expect-error there is no such isolation
    declare(services, { isolation: 'worker' })
  }
}
