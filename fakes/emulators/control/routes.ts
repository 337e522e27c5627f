/**
 * Every request that the control API knows, as one table: the router reads it, what comes in is checked by it, and the
 * OpenAPI description is made of it.
 */
import { portErrorCodes } from '../../../src/errors.ts'
import type { FaultRule } from '../../faults.ts'
import {
  badRequest,
  type ControlCall,
  clockOf,
  emulationOf,
  longestWaitMs,
  nameOf,
  readJournal,
  rulesOf,
  storeOf,
  virtualClock,
} from './calls.ts'
import { array, checkSchema, integer, object, type Schema, text } from './schema.ts'
import { snapshotName } from './store.ts'

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** `{name}` stands for one segment. */
  readonly path: string
  /** Its name in OpenAPI, and of the client's method. */
  readonly id: string
  readonly summary: string
  /** Whole numbers; all may be absent. */
  readonly query?: Readonly<Record<string, Schema>>
  readonly body?: Schema
  /** Absent where the answer is 204. */
  readonly answer?: Schema
  readonly handle: (call: ControlCall) => unknown
}

const any: Schema = {}
const boolean: Schema = { type: 'boolean' }
const time = text('a time as ISO 8601 has it', { format: 'date-time' })

const journalEntry = object({
  sequence: integer(1, Number.MAX_SAFE_INTEGER),
  at: time,
  operation: text(),
  'subject?': text('the key, the recipient, the id'),
  effects: array(text(), 'what the call changed, in order'),
  result: text('pending, ok, or the code it failed with'),
})

const faultFields = {
  operation: text('an operation of the port, or * for all'),
  'error?': text('what it fails with; absent for one that is only slow', { enum: portErrorCodes }),
  'reason?': text('with rejected: the business reason'),
  'retryAfterMs?': integer(0, Number.MAX_SAFE_INTEGER, 'with rate-limited and unavailable'),
  'latencyMs?': integer(0, Number.MAX_SAFE_INTEGER, 'how long it takes'),
  'when?': text('after: it is done, and the answer is lost', { enum: ['before', 'after'] }),
  'times?': {
    description: 'how many calls it hits; 1 where absent, always where there is a probability',
    anyOf: [integer(1, Number.MAX_SAFE_INTEGER), text(undefined, { enum: ['always'] })],
  },
  'probability?': { type: 'number', minimum: 0, maximum: 1 },
  'match?': text('only calls about this subject'),
} as const satisfies Readonly<Record<string, Schema>>

const left: Schema = { anyOf: [integer(1, Number.MAX_SAFE_INTEGER), text(undefined, { enum: ['always'] })] }
const clock = object({ kind: text(undefined, { enum: ['system', 'virtual'] }), now: time })
const snapshot = object({ name: text('of the snapshot', { pattern: snapshotName }) })
const service = object({
  service: text(),
  protocol: text(),
  url: text(),
  port: integer(1, 65_535),
  seed: { description: 'the JSON Schema of what can be seeded' },
  forced: { description: 'the JSON Schema of a forced answer' },
})

export const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/',
    id: 'index',
    summary: 'This description, as OpenAPI 3.1',
    answer: any,
    handle: ({ emulators }) => emulators.description,
  },
  {
    method: 'GET',
    path: '/health',
    id: 'health',
    summary: 'Whether it runs, and for how long',
    answer: object({
      status: text(undefined, { enum: ['ok'] }),
      pid: integer(1, Number.MAX_SAFE_INTEGER),
      uptimeMs: integer(0, Number.MAX_SAFE_INTEGER),
      persistent: boolean,
      services: array(text()),
    }),
    handle: ({ emulators }) => ({
      status: 'ok',
      pid: process.pid,
      uptimeMs: Math.floor(performance.now() - emulators.startedAt),
      persistent: emulators.store !== undefined,
      services: [...emulators.services.keys()],
    }),
  },
  {
    method: 'GET',
    path: '/services',
    id: 'services',
    summary: 'What is emulated, and where',
    answer: object({ services: array(service) }),
    handle: ({ emulators }) => ({
      services: [...emulators.services.values()].map(({ emulation, endpoint }) => ({
        service: emulation.service,
        protocol: emulation.protocol,
        url: endpoint.url,
        port: endpoint.port,
        seed: emulation.seedSchema,
        forced: emulation.forcedSchema,
      })),
    }),
  },
  {
    method: 'GET',
    path: '/clock',
    id: 'clock',
    summary: 'The time of all emulators',
    answer: clock,
    handle: ({ emulators }) => clockOf(emulators),
  },
  {
    method: 'POST',
    path: '/clock/advance',
    id: 'advanceClock',
    summary: 'Moves a virtual clock forward; what waits for that time goes on',
    body: object({ ms: integer(0, 8_640_000_000_000) }),
    answer: clock,
    handle({ emulators, body }) {
      virtualClock(emulators).advance((body as { ms: number }).ms)
      return clockOf(emulators)
    },
  },
  {
    method: 'POST',
    path: '/clock/set',
    id: 'setClock',
    summary: 'Moves a virtual clock to a time that is not before its own',
    body: object({ now: time }),
    answer: clock,
    handle({ emulators, body }) {
      const target = virtualClock(emulators)
      const ms = Date.parse((body as { now: string }).now) - target.now()
      if (ms < 0) throw badRequest('a clock only moves forward; reset or load a snapshot instead')
      target.advance(ms)
      return clockOf(emulators)
    },
  },
  {
    method: 'GET',
    path: '/services/{service}/state',
    id: 'state',
    summary: 'What the service holds now',
    answer: any,
    handle: (call) => emulationOf(call).state(),
  },
  {
    method: 'GET',
    path: '/services/{service}/journal',
    id: 'journal',
    summary: 'What was asked of the service. With after: what has ended since that entry, each once',
    query: {
      after: integer(0, Number.MAX_SAFE_INTEGER, 'the last of the answer before; 0 for the first time'),
      waitMs: integer(0, longestWaitMs, 'with after: how long to wait for an entry where there is none yet'),
    },
    answer: object({ entries: array(journalEntry), last: integer(0, Number.MAX_SAFE_INTEGER) }),
    handle: readJournal,
  },
  {
    method: 'DELETE',
    path: '/services/{service}/journal',
    id: 'clearJournal',
    summary: 'Forgets the entries; their numbers go on',
    handle: (call) => emulationOf(call).journal.forget(),
  },
  {
    method: 'GET',
    path: '/services/{service}/faults',
    id: 'faults',
    summary: 'The faults still in force, in the order in which they are tried',
    answer: object({ rules: array(object({ ...faultFields, left })) }),
    handle: (call) => ({ rules: emulationOf(call).faults.list() }),
  },
  {
    method: 'POST',
    path: '/services/{service}/faults',
    id: 'addFaults',
    summary: 'Adds faults: all of them or, where one is refused, none',
    body: object({ rules: array(object(faultFields)) }),
    handle: (call) => emulationOf(call).faults.script(rulesOf(call.body) as FaultRule<string>[]),
  },
  {
    method: 'DELETE',
    path: '/services/{service}/faults',
    id: 'clearFaults',
    summary: 'Ends every fault',
    handle: (call) => emulationOf(call).faults.clear(),
  },
  {
    method: 'GET',
    path: '/services/{service}/forced',
    id: 'forced',
    summary: 'The exact answers that are forced and still to come',
    answer: object({ rules: array(any) }),
    handle: (call) => ({ rules: emulationOf(call).forced() }),
  },
  {
    method: 'POST',
    path: '/services/{service}/forced',
    id: 'force',
    summary: 'Forces exact answers in the terms of the protocol, before the service is asked: all or none',
    body: object({ rules: array({ type: 'object' }, 'as "forced" of /services describes them') }),
    handle(call) {
      const emulation = emulationOf(call)
      const rules = rulesOf(call.body)
      for (const [index, rule] of rules.entries())
        checkSchema(`body.rules[${index}]`, rule, emulation.forcedSchema)
      emulation.force(rules)
    },
  },
  {
    method: 'DELETE',
    path: '/services/{service}/forced',
    id: 'clearForced',
    summary: 'Takes back every forced answer',
    handle: (call) => emulationOf(call).clearForced(),
  },
  {
    method: 'POST',
    path: '/services/{service}/reset',
    id: 'reset',
    summary: 'Forgets state, faults, forced answers and journal',
    handle(call) {
      const emulation = emulationOf(call)
      emulation.reset()
      call.emulators.store?.changed(emulation)
    },
  },
  {
    method: 'POST',
    path: '/services/{service}/seed',
    id: 'seed',
    summary: 'Puts things there as if they had been before: all of them or none',
    body: { type: 'object', description: 'as "seed" of /services describes it' },
    answer: object({ seeded: integer(0, Number.MAX_SAFE_INTEGER) }),
    async handle(call) {
      const emulation = emulationOf(call)
      checkSchema('body', call.body, emulation.seedSchema)
      const seeded = await emulation.seed('body', call.body, undefined)
      call.emulators.store?.changed(emulation)
      return { seeded }
    },
  },
  {
    method: 'GET',
    path: '/services/{service}/snapshots',
    id: 'snapshots',
    summary: 'The names of the saved states',
    answer: object({ names: array(text()) }),
    handle: async (call) => ({ names: await storeOf(call).snapshots(emulationOf(call)) }),
  },
  {
    method: 'POST',
    path: '/services/{service}/save',
    id: 'save',
    summary: 'Saves the state under a name, in the place of what was saved under it',
    body: snapshot,
    handle: (call) => storeOf(call).saveSnapshot(emulationOf(call), nameOf(call.body)),
  },
  {
    method: 'POST',
    path: '/services/{service}/load',
    id: 'load',
    summary: 'Puts a saved state in the place of the present one; faults and journal stay',
    body: snapshot,
    handle: (call) => storeOf(call).loadSnapshot(emulationOf(call), nameOf(call.body)),
  },
  {
    method: 'DELETE',
    path: '/services/{service}/snapshots/{name}',
    id: 'deleteSnapshot',
    summary: 'Deletes a saved state; absent is no error',
    handle: (call) => {
      const { name } = call.path
      checkSchema('path', { name }, snapshot)
      return storeOf(call).deleteSnapshot(emulationOf(call), name ?? '')
    },
  },
]
