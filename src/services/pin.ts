/** Pins: the one declared version of a bounded service, compared at the precision it is given. */
import type { ServerIdentity } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'

/**
 * The numbers of a pin: `17.10` → [17, 10].
 * @throws PortError `invalid-argument` when it is not one to four numbers with dots between
 */
export function parsePin(pin: string): readonly number[] {
  if (!/^\d{1,6}(\.\d{1,6}){0,3}$/.test(pin)) {
    throw invalidArgument(`a version is pinned as numbers with dots, such as "17.10" or "7.0"; got "${pin}"`)
  }
  return pin.split('.').map(Number)
}

/** Whether a server's version is the pinned one, at the pin's precision: `7.0` holds for 7.0.15, not for 7.2. */
export function pinHolds(pin: string, version: string): boolean {
  const found = /^\d+(\.\d+)*/.exec(version)?.[0].split('.').map(Number) ?? []
  return parsePin(pin).every((number, index) => found[index] === number)
}

/** @throws PortError `precondition-failed` when the server is of another engine or version than is pinned */
export function checkPin(engine: string, pin: string, found: ServerIdentity): void {
  if (found.engine === engine && pinHolds(pin, found.version)) return
  throw new PortError({
    code: 'precondition-failed',
    message:
      `the running server is ${found.engine} ${found.version}, the declaration pins ${engine} ${pin}; ` +
      'point the URL at a server of the pinned version, or change the pin and test against it',
    details: { found: `${found.engine} ${found.version}`, pinned: `${engine} ${pin}` },
  })
}
