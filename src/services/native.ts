/** The way out: the vendor's own client behind an attached port, for what the port does not cover. */
import { invalidArgument } from '../errors.ts'

declare const nativeType: unique symbol

/** Carries the type of the vendor's client along with a port. Has no value at run time. */
export interface Native<N> {
  readonly [nativeType]?: N
}

const natives = new WeakMap<object, unknown>()

/** Remembers which client is behind a port. */
export function registerNative(port: object, client: unknown): void {
  natives.set(port, client)
}

/**
 * The vendor's client behind an attached port: `native(app.orders)` is the `pg.Pool`. It is closed with the app;
 * do not close it yourself.
 * @throws PortError `invalid-argument` for an object that is no attached port, and for a fake, which has none
 */
export function native<N>(port: Native<N>): N {
  const client = natives.get(port)
  if (client === undefined) {
    throw invalidArgument(
      'there is no vendor client behind this; only a port attached to a real service has one',
    )
  }
  return client as N
}
