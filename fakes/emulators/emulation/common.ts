/** What the emulations have in common. */
import { PortError } from '../../../src/errors.ts'
import type { FakeLike } from '../../../src/services/declare.ts'
import type { Emulation } from './protocol.ts'

/**
 * The fake that a declaration's factory made, as the class that the emulator is written for.
 * @throws PortError `unsupported` where it is another
 */
export function fakeOf<F extends FakeLike<object>>(
  // biome-ignore lint/suspicious/noExplicitAny: whatever its constructor takes
  type: new (...args: any[]) => F,
  fake: FakeLike<object>,
  service: string,
): F {
  if (fake instanceof type) return fake
  throw new PortError({
    code: 'unsupported',
    message: `the fake of "${service}" is no ${type.name} of this copy of portside, which the emulator needs`,
  })
}

/** Forces all of `rules`, or, where one is refused, none. */
export function forceAll(
  emulation: Pick<Emulation, 'forced' | 'clearForced'>,
  rules: readonly object[],
  force: (rule: object) => void,
): void {
  const before = emulation.forced() as readonly { readonly left?: number }[]
  try {
    for (const rule of rules) force(rule)
  } catch (error) {
    emulation.clearForced()
    for (const { left, ...rule } of before) force(left === undefined ? rule : { ...rule, times: left })
    throw error
  }
}

export function notStarted(): never {
  throw new PortError({ code: 'unavailable', message: 'the emulator is not started', outcome: 'not-applied' })
}
