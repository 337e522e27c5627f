/**
 * Controls emulators that run in another process (`portside emulate`): what their control API offers, typed. Over
 * `fetch`, so under the egress guard it goes through as loopback does.
 */
import { checkText } from '../../src/calls/arguments.ts'
import { invalidArgument, PortError, type PortErrorCode, portErrorCodes } from '../../src/errors.ts'
import type { FaultRule, PendingFault } from '../faults.ts'
import type { JournalEntry } from '../journal.ts'

/** The control API of one `portside emulate`. Every method rejects with a `PortError`. */
export interface ControlClient {
  health(): Promise<ControlHealth>
  /** What is emulated, and where. */
  services(): Promise<readonly ControlledService[]>
  /** One of them. Asks nothing yet: an unknown name is `not-found` with the first call. */
  service(name: string): ServiceControl
  readonly clock: {
    now(): Promise<Date>
    /** Moves a virtual clock forward. `unsupported` where it is the machine's own. */
    advance(ms: number): Promise<Date>
    /** Moves a virtual clock to a time that is not before its own. */
    set(now: Date): Promise<Date>
  }
}

/** The controls of one emulated service. */
export interface ServiceControl {
  /** What it holds, in the form of its protocol. */
  state<State = unknown>(): Promise<State>
  /** Everything that was asked of it and is kept, what is still running too. */
  journal(): Promise<JournalPage>
  /**
   * What has ended since the entry `after` (0: since the beginning), waiting up to `waitMs` for one where there is none.
   * Going on with the `last` of the answer, one sees every entry once.
   * @param waitMs at most 60 000. @default 0
   */
  journalAfter(after: number, waitMs?: number): Promise<JournalPage>
  clearJournal(): Promise<void>
  faults(): Promise<readonly PendingFault<string>[]>
  /** Adds faults: all of them, or none where one is refused. */
  addFaults(...rules: readonly FaultRule<string>[]): Promise<void>
  clearFaults(): Promise<void>
  forced(): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** Forces exact answers, in the terms of its protocol. */
  force(...rules: readonly object[]): Promise<void>
  clearForced(): Promise<void>
  /** Forgets state, faults, forced answers and journal. */
  reset(): Promise<void>
  /** Puts things there as if they had been before; answers how many. */
  seed(seed: object): Promise<number>
  /** Names of what was saved. */
  snapshots(): Promise<readonly string[]>
  /** Saves the state under a name of lower-case letters, digits and hyphens. */
  save(name: string): Promise<void>
  load(name: string): Promise<void>
  deleteSnapshot(name: string): Promise<void>
}

export interface ControlHealth {
  readonly status: 'ok'
  readonly pid: number
  readonly uptimeMs: number
  /** Whether state is kept in a folder. */
  readonly persistent: boolean
  readonly services: readonly string[]
}

export interface ControlledService {
  readonly service: string
  readonly protocol: string
  readonly url: string
  readonly port: number
}

export interface JournalPage {
  readonly entries: readonly JournalEntry[]
  /** The number to go on from. */
  readonly last: number
}

/** @param url where the control API is, as `portside emulate` prints it */
export function controlClient(url: string | URL): ControlClient {
  const base = URL.parse(String(url))
  if (base === null || base.protocol !== 'http:') throw invalidArgument('url must be an http URL')
  const send = <Answer>(method: string, path: string, body?: object): Promise<Answer> =>
    request<Answer>(new URL(path, base), method, body)
  const timeOf = async (answer: Promise<{ readonly now: string }>): Promise<Date> =>
    new Date((await answer).now)
  return {
    health: () => send('GET', '/health'),
    services: async () => (await send<{ services: ControlledService[] }>('GET', '/services')).services,
    service: (name) => {
      checkText('name', name)
      return serviceControl(`/services/${encodeURIComponent(name)}`, send)
    },
    clock: {
      now: () => timeOf(send('GET', '/clock')),
      advance: (ms) => timeOf(send('POST', '/clock/advance', { ms })),
      set: (now) => timeOf(send('POST', '/clock/set', { now: now.toISOString() })),
    },
  }
}

type Send = <Answer>(method: string, path: string, body?: object) => Promise<Answer>

function serviceControl(path: string, send: Send): ServiceControl {
  const journal = async (query = ''): Promise<JournalPage> => {
    const { entries, last } = await send<{ entries: (JournalEntry & { at: string })[]; last: number }>(
      'GET',
      `${path}/journal${query}`,
    )
    return {
      entries: entries.map((entry) => ({ ...entry, subject: entry.subject, at: new Date(entry.at) })),
      last,
    }
  }
  return {
    state: () => send('GET', `${path}/state`),
    journal: () => journal(),
    journalAfter: (after, waitMs = 0) => journal(`?after=${after}&waitMs=${waitMs}`),
    clearJournal: () => send('DELETE', `${path}/journal`),
    faults: async () => (await send<{ rules: PendingFault<string>[] }>('GET', `${path}/faults`)).rules,
    addFaults: (...rules) => send('POST', `${path}/faults`, { rules }),
    clearFaults: () => send('DELETE', `${path}/faults`),
    forced: async () => (await send<{ rules: Record<string, unknown>[] }>('GET', `${path}/forced`)).rules,
    force: (...rules) => send('POST', `${path}/forced`, { rules }),
    clearForced: () => send('DELETE', `${path}/forced`),
    reset: () => send('POST', `${path}/reset`),
    seed: async (seed) => (await send<{ seeded: number }>('POST', `${path}/seed`, seed)).seeded,
    snapshots: async () => (await send<{ names: string[] }>('GET', `${path}/snapshots`)).names,
    save: (name) => send('POST', `${path}/save`, { name }),
    load: (name) => send('POST', `${path}/load`, { name }),
    deleteSnapshot: (name) => send('DELETE', `${path}/snapshots/${encodeURIComponent(name)}`),
  }
}

async function request<Answer>(url: URL, method: string, body: object | undefined): Promise<Answer> {
  let response: Response
  try {
    response = await fetch(url, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
  } catch (cause) {
    throw new PortError({ code: 'unavailable', message: `no control API answers at ${url.origin}`, cause })
  }
  if (response.status === 204) return undefined as Answer
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok && answer !== undefined) return answer as Answer
  const { code, detail } = (answer ?? {}) as { readonly code?: PortErrorCode; readonly detail?: string }
  throw new PortError({
    code: code !== undefined && portErrorCodes.includes(code) ? code : 'internal',
    message: detail ?? `the control API answered ${response.status}`,
    ...(code !== undefined && { outcome: 'not-applied' as const }),
  })
}
