/** What many clients at once see of one object, judged as a whole. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { readBytes } from '../../src/calls/bytes.ts'
import type { PortError } from '../../src/errors.ts'
import type { ObjectStorage } from '../../src/ports/object-storage.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'
import { assertLinearizable, recordHistory, type SequentialModel } from '../linearizability.ts'

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
  const asked = (
    state: string | null,
    input: HistoryInput,
  ): readonly [after: string | null, output: HistoryOutput] => {
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
  }
  return {
    initial: null,
    step(state, input, answer) {
      const [after, output] = asked(state, input)
      if (answer === undefined) return after === state ? undefined : after
      return answer.output === output ? after : undefined
    },
  }
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

/**
 * A service may also answer a race with `conflict`, which says nothing of what is stored: it is none of the model's
 * answers, and not applied.
 */
export const refusedInHistory = ({ code, outcome }: PortError): HistoryOutput =>
  outcome === 'not-applied' && code === 'precondition-failed' ? code : undefined

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

/** Records histories by both clients in turn and judges each. */
async function judge(
  { port, openAnother }: BehaviourContext<ObjectStorage>,
  etags: ReadonlyMap<string, string>,
): Promise<void> {
  const other = await openAnother?.()
  assert.ok(other)
  const model = historyModel((content) => etags.get(content) ?? '')
  let round = 0
  try {
    await fc.assert(
      fc.asyncProperty(historiesOf([...etags.values()]), async (each) => {
        round += 1
        const fresh = each.map((all) => all.map((input) => ({ ...input, key: `${input.key}${round}` })))
        const history = await recordHistory(
          fresh,
          (input, client) => runHistoryInput(client % 2 === 0 ? port : other.port, input),
          refusedInHistory,
        )
        assertLinearizable(model, history)
      }),
      { numRuns: 15 },
    )
  } finally {
    await other.close()
  }
}

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
