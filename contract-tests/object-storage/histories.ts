/** What many clients at once see of one object, judged as a whole. */
import * as fc from 'fast-check'
import { readBytes } from '../../src/calls/bytes.ts'
import type { ObjectStorage } from '../../src/ports/object-storage.ts'
import { assertOneOrder } from '../common/histories.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'
import { modelOf, type SequentialModel } from '../linearizability.ts'

/** One call of a client. */
export type HistoryInput = { readonly key: string } & (
  | { readonly type: 'get' }
  | { readonly type: 'put'; readonly body: string }
  | { readonly type: 'put-if-absent'; readonly body: string }
  | { readonly type: 'put-if-match'; readonly body: string; readonly etag: string }
  | { readonly type: 'delete' }
)
/** The body that `get` gave, `done` of what changes, the code of a refusal. */
export type HistoryOutput = string | undefined

/** One object as it would be with one copy: the body that is stored, `null` where there is none. */
export function historyModel(
  etagOf: (body: string) => string,
): SequentialModel<string | null, HistoryInput, HistoryOutput> {
  return modelOf<string | null, HistoryInput, HistoryOutput>(null, (state, input) => {
    switch (input.type) {
      case 'get':
        return [state, state ?? undefined]
      case 'put':
        return [input.body, 'done']
      case 'put-if-absent':
        return state === null ? [input.body, 'done'] : [state, 'precondition-failed']
      case 'put-if-match':
        return state !== null && etagOf(state) === input.etag
          ? [input.body, 'done']
          : [state, 'precondition-failed']
      case 'delete':
        return [null, 'done']
    }
  })
}

/** Makes the call. */
export async function runHistoryInput(storage: ObjectStorage, input: HistoryInput): Promise<HistoryOutput> {
  const { key } = input
  switch (input.type) {
    case 'get': {
      const object = await storage.get(key)
      return object && Buffer.from(await readBytes(object.body)).toString()
    }
    case 'put':
      await storage.put(key, input.body)
      return 'done'
    case 'put-if-absent':
      await storage.put(key, input.body, { ifAbsent: true })
      return 'done'
    case 'put-if-match':
      await storage.put(key, input.body, { ifMatch: input.etag })
      return 'done'
    case 'delete':
      await storage.delete(key)
      return 'done'
  }
}

/** The bodies that are put. */
export const historyBodies = ['a', 'b', 'c'] as const
const key = fc.constantFrom('one', 'other')
const body = fc.constantFrom(...historyBodies)
const type = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)

/** Several clients' calls; with `ifMatch` only where etags are given. */
export function historiesOf(etags: readonly string[]): fc.Arbitrary<readonly (readonly HistoryInput[])[]> {
  const unconditional = [
    fc.record({ type: type('get'), key }),
    fc.record({ type: type('put'), key, body }),
    fc.record({ type: type('put-if-absent'), key, body }),
    fc.record({ type: type('delete'), key }),
  ] as const
  const etag = fc.nat(Math.max(0, etags.length - 1)).map((index) => etags[index] ?? '')
  const matching = fc.record({ type: type('put-if-match'), key, body, etag })
  const input: fc.Arbitrary<HistoryInput> =
    etags.length === 0 ? fc.oneof(...unconditional) : fc.oneof(...unconditional, matching, matching)
  return fc.array(fc.array(input, { minLength: 1, maxLength: 8 }), { minLength: 2, maxLength: 5 })
}

const judge = (context: BehaviourContext<ObjectStorage>, etags: ReadonlyMap<string, string>): Promise<void> =>
  assertOneOrder(context, {
    clients: historiesOf([...etags.values()]),
    ask: runHistoryInput,
    model: historyModel((content) => etags.get(content) ?? ''),
    runs: 15,
  })

export const histories: readonly Behaviour<ObjectStorage>[] = [
  {
    id: 'history/concurrent-calls-are-linearizable',
    sentence:
      'However many clients read, put, put if absent and delete an object at once, one order of their calls explains every answer.',
    needs: ['openAnother'],
    check: (context) => judge(context, new Map()),
  },
  {
    id: 'history/compare-and-set-is-linearizable',
    sentence: 'The same with puts under the condition that the object is still the one with a given etag.',
    capability: 'put-if-match',
    undeclared: ({ port }) => port.put('k', 'body', { ifMatch: '"0"' }),
    needs: ['openAnother'],
    async check(context) {
      const etags = new Map<string, string>()
      for (const content of historyBodies) etags.set(content, (await context.port.put('etag', content)).etag)
      await judge(context, etags)
    },
  },
]
