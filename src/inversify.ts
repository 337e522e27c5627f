/**
 * Binds an app's attached services in an inversify container: typed identifiers and a module, no decorators.
 * Attach first, bind after: opening and closing stay with `attach`, because a container deactivates in parallel
 * and a lifecycle wants an order.
 */
import { ContainerModule, type ServiceIdentifier } from 'inversify'
import type { Attached, PortOf } from './services/attach.ts'
import type { Services } from './services/declare.ts'

/** One identifier a service, whose type is the service's port. */
export type ServiceIdentifiers<M extends Services> = {
  readonly [K in keyof M]: ServiceIdentifier<PortOf<M[K]>>
}

const identifiersOf = new WeakMap<Services, ServiceIdentifiers<Services>>()

/**
 * The identifiers of a declaration's services. The same declaration gives the same identifiers each time; two
 * declarations never share one, even where their services have the same names.
 */
export function serviceIdentifiers<M extends Services>(services: M): ServiceIdentifiers<M> {
  let identifiers = identifiersOf.get(services)
  if (identifiers === undefined) {
    const names = Object.keys(services)
    identifiers = Object.freeze(Object.fromEntries(names.map((name) => [name, Symbol(`portside:${name}`)])))
    identifiersOf.set(services, identifiers)
  }
  return identifiers as ServiceIdentifiers<M>
}

/**
 * A module that binds every attached port as a constant under its identifier. Unloading it does not close
 * the services: `app.close()` does.
 */
export function attachedModule<M extends Services>(services: M, app: Attached<M>): ContainerModule {
  const identifiers: Readonly<Record<string, ServiceIdentifier<unknown>>> = serviceIdentifiers(services)
  return new ContainerModule(({ bind }) => {
    for (const [name, identifier] of Object.entries(identifiers)) {
      bind(identifier).toConstantValue(app[name])
    }
  })
}
