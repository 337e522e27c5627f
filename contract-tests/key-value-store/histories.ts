/** What many clients at once see of one key, judged as a whole. */
import * as fc from 'fast-check'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { assertOneOrder } from '../common/histories.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'
import { modelOf, type SequentialModel } from '../linearizability.ts'

/** What one client asks of one key. */
export type HistoryInput = { readonly key: string } & (
  | { readonly type: 'get' }
  | { readonly type: 'set'; readonly value: string }
  | { readonly type: 'set-if-absent'; readonly value: string }
  | { readonly type: 'set-if-equals'; readonly value: string; readonly expected: string }
  | { readonly type: 'delete' }
  | { readonly type: 'delete-if-equals'; readonly expected: string }
)
/** What `get` and `delete` gave; `done` of a set; the code of a refusal. */
export type HistoryOutput = string | boolean | undefined

/** A key as it would be with one copy and one client; `null` where it is absent, so that JSON tells it. */
export const keyHistory: SequentialModel<string | null, HistoryInput, HistoryOutput> = modelOf(null, asked)

function asked(
  state: string | null,
  input: HistoryInput,
): readonly [after: string | null, output: HistoryOutput] {
  switch (input.type) {
    case 'get':
      return [state, state ?? undefined]
    case 'set':
      return [input.value, 'done']
    case 'set-if-absent':
      return state === null ? [input.value, 'done'] : [state, 'precondition-failed']
    case 'set-if-equals':
      return state === input.expected ? [input.value, 'done'] : [state, 'precondition-failed']
    case 'delete':
      return [null, state !== null]
    case 'delete-if-equals':
      if (state === null) return [null, false]
      return state === input.expected ? [null, true] : [state, 'precondition-failed']
  }
}

/** Asks the store, as the model is asked. */
export async function askStore(store: KeyValueStore, input: HistoryInput): Promise<HistoryOutput> {
  const { key } = input
  switch (input.type) {
    case 'get':
      return store.getText(key)
    case 'set':
      await store.set(key, input.value)
      return 'done'
    case 'set-if-absent':
      await store.set(key, input.value, { ifAbsent: true })
      return 'done'
    case 'set-if-equals':
      await store.set(key, input.value, { ifEquals: input.expected })
      return 'done'
    case 'delete':
      return store.delete(key)
    case 'delete-if-equals':
      return store.delete(key, { ifEquals: input.expected })
  }
}

// Few of each, so that clients meet.
const key = fc.constantFrom('one', 'other')
const value = fc.constantFrom('a', 'b', 'c')
const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)
const inputs: fc.Arbitrary<readonly HistoryInput[]> = fc.array(
  fc.oneof(
    fc.record({ type: type('get'), key }),
    fc.record({ type: type('set'), key, value }),
    fc.record({ type: type('set-if-absent'), key, value }),
    fc.record({ type: type('set-if-equals'), key, value, expected: value }),
    fc.record({ type: type('delete'), key }),
    fc.record({ type: type('delete-if-equals'), key, expected: value }),
  ),
  { minLength: 1, maxLength: 12 },
)
const clients = fc.array(inputs, { minLength: 2, maxLength: 5 })

const judge = (
  context: BehaviourContext<KeyValueStore>,
  ask: (store: KeyValueStore, input: HistoryInput, patience: number) => Promise<HistoryOutput>,
): Promise<void> => assertOneOrder(context, { clients, ask, model: keyHistory, runs: 25 })

export const histories: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'history/concurrent-calls-are-linearizable',
    sentence:
      'However many clients read, set, compare and delete a key at once, one order of their calls explains every answer.',
    needs: ['openAnother'],
    check: (context) => judge(context, askStore),
  },
  {
    id: 'history/lost-answers-leave-one-order',
    sentence:
      'Where clients give up on calls under way, what the others see still has one order, with each lost call applied once or never.',
    needs: ['openAnother'],
    check: (context) =>
      judge(context, (store, input, patience) =>
        patience === 0 && input.type !== 'get' ? givenUp(store, input) : askStore(store, input),
      ),
  },
]

/** Lets the call begin, then turns away from it. */
async function givenUp(store: KeyValueStore, input: HistoryInput): Promise<HistoryOutput> {
  const giveUp = new AbortController()
  const abortable = abortableStore(store, giveUp.signal)
  const [output] = await Promise.all([askStore(abortable, input), leave(giveUp)])
  return output
}

async function leave(giveUp: AbortController): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  giveUp.abort()
}

/** The store with a signal for every write. */
function abortableStore(store: KeyValueStore, signal: AbortSignal): KeyValueStore {
  return {
    ...store,
    set: (key, value, options) => store.set(key, value, { ...options, signal }),
    delete: (key, options) => store.delete(key, { ...options, signal }),
  }
}
