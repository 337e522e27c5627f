/** What the requests of the control API are about: a service, its journal, the clock, what is saved. */
import { setTimeout as wait } from 'node:timers/promises'
import { VirtualClock } from '../../../src/calls/clock.ts'
import { PortError } from '../../../src/errors.ts'
import type { JournalEntry } from '../../journal.ts'
import type { ControlledEmulators } from '../control.ts'
import type { Emulation } from '../emulation/protocol.ts'
import type { EmulationStore } from './store.ts'

/** A request that was found to be one of the table's, with its parts checked. */
export interface ControlCall {
  readonly emulators: ControlledEmulators
  readonly path: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, number>>
  readonly body: unknown
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal
}

/** How long one request for the journal may wait at most. */
export const longestWaitMs = 60_000

/** The journal as it is; with `after`, what has ended since, waited for where it must be. */
export async function readJournal(call: ControlCall): Promise<unknown> {
  const { journal } = emulationOf(call)
  const { after, waitMs = 0 } = call.query
  if (after === undefined) {
    if (waitMs > 0) throw badRequest('waitMs needs after: an entry after which one?')
    return { entries: journal.entries.map(entryOf), last: journal.last }
  }
  const answer = (): { readonly entries: readonly object[]; readonly last: number } => {
    const entries = journal.after(after)
    return {
      entries: entries.map(entryOf),
      last: entries.at(-1)?.sequence ?? Math.min(after, journal.last),
    }
  }
  const end = Date.now() + waitMs
  let found = answer()
  while (found.entries.length === 0 && Date.now() < end && !call.signal.aborted) {
    await nextEntry(call, end - Date.now())
    found = answer()
  }
  return found
}

/** Until an entry ends, the time is over, or the client has left. */
async function nextEntry(call: ControlCall, ms: number): Promise<void> {
  const over = new AbortController()
  const stop = emulationOf(call).journal.watch(() => over.abort())
  try {
    await wait(ms, undefined, { signal: AbortSignal.any([over.signal, call.signal]) })
  } catch {
    // Aborted by either.
  } finally {
    stop()
  }
}

function entryOf({ at, subject, ...entry }: JournalEntry): object {
  return { ...entry, at: at.toISOString(), ...(subject !== undefined && { subject }) }
}

export function emulationOf({ emulators, path }: ControlCall): Emulation {
  const found = emulators.services.get(path.service ?? '')
  if (found !== undefined) return found.emulation
  const known = [...emulators.services.keys()].join(', ')
  throw new PortError({ code: 'not-found', message: `there is no such service; there is ${known}` })
}

export function storeOf({ emulators }: ControlCall): EmulationStore {
  if (emulators.store !== undefined) return emulators.store
  throw new PortError({
    code: 'unsupported',
    message: 'nothing can be saved; start the emulators with --persist FOLDER',
  })
}

export function virtualClock({ clock: found }: ControlledEmulators): VirtualClock {
  if (found instanceof VirtualClock) return found
  throw new PortError({
    code: 'unsupported',
    message: "the clock is this machine's; start the emulators with --clock virtual to move it",
  })
}

export function clockOf({ clock: found }: ControlledEmulators): object {
  const kind = found instanceof VirtualClock ? 'virtual' : 'system'
  return { kind, now: new Date(found.now()).toISOString() }
}

export function rulesOf(body: unknown): readonly object[] {
  return (body as { readonly rules: readonly object[] }).rules
}

export function nameOf(body: unknown): string {
  return (body as { readonly name: string }).name
}

export function badRequest(message: string): PortError {
  return new PortError({ code: 'invalid-argument', message })
}
