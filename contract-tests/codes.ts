/** Which codes a subject has failed with, so that a run can show that each of its port's was provoked. */
import type { Guarded } from '../src/calls/guard.ts'
import { PortError, type PortErrorCode } from '../src/errors.ts'
import { operationsOf, type Port } from '../src/port.ts'
import type { OpenSubject, Subject } from './contract.ts'

type Method = (...args: readonly unknown[]) => unknown

/** The same client, of which the code of every failure goes into `seen`. */
export function notingCodes<T extends object>(
  token: Port<T>,
  guarded: Guarded<T>,
  seen: Set<PortErrorCode>,
): Guarded<T> {
  const note = (error: unknown): never => {
    if (PortError.is(error)) seen.add(error.code)
    throw error
  }
  async function* noted(items: AsyncIterable<unknown>): AsyncGenerator<unknown> {
    try {
      yield* items
    } catch (error) {
      note(error)
    }
  }
  const port: Record<string, Method> = {}
  for (const [name, { kind }] of operationsOf(token)) {
    const method = guarded.port[name as keyof T] as Method
    port[name] =
      kind === 'stream'
        ? (...args) => noted(method(...args) as AsyncIterable<unknown>)
        : (...args) => (method(...args) as Promise<unknown>).catch(note)
  }
  return {
    port: port as T,
    capabilities: guarded.capabilities,
    native: guarded.native,
    ping: (options) => guarded.ping(options).catch(note),
    close: (options) => guarded.close(options),
  }
}

/** The same subject, of whose clients the code of every failure goes into `seen`; and how many places it opened. */
export function notingSubject<T extends object>(
  token: Port<T>,
  subject: Subject<T>,
  seen: Set<PortErrorCode>,
): { readonly subject: Subject<T>; readonly places: () => number } {
  let places = 0
  const noting = (guarded: Guarded<T>): Guarded<T> => notingCodes(token, guarded, seen)
  const notingOpen = (open: OpenSubject<T>): OpenSubject<T> => {
    const { openAnother, openRefused, openObserved, network } = open
    return {
      ...open,
      guarded: noting(open.guarded),
      openAnother: openAnother && (async () => noting(await openAnother())),
      openRefused: openRefused && (async () => noting(await openRefused())),
      openObserved: openObserved && (async (observe) => noting(await openObserved(observe))),
      network: network && { ...network, open: async () => noting(await network.open()) },
    }
  }
  const { openUnreachable } = subject
  return {
    places: () => places,
    subject: {
      ...subject,
      async open() {
        places += 1
        return notingOpen(await subject.open())
      },
      openUnreachable: openUnreachable && (async () => notingOpen(await openUnreachable())),
    },
  }
}
