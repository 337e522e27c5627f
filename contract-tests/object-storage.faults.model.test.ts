/** Commands, faults and schedules together, on the fake and on the `s3` adapter with the emulator in front of a fake. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FaultRule } from '../fakes/faults.ts'
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import { systemClock } from '../src/calls/clock.ts'
import type { Guarded } from '../src/calls/guard.ts'
import type { ObjectStorage } from '../src/ports/object-storage.ts'
import { failedCondition } from './common/histories.ts'
import { collect } from './expect.ts'
import { assertLinearizable, recordHistory } from './linearizability.ts'
import {
  type HistoryInput,
  type HistoryOutput,
  historiesOf,
  historyBodies,
  historyModel,
  runHistoryInput,
} from './object-storage/histories.ts'
import { connectS3, startBucket } from './object-storage.emulator.setup.ts'
import { etagOf, type ObjectCommand, objectCommands, runObjectCommand } from './object-storage-model.ts'
import { assertRuns } from './runs.ts'

type Operation = 'put' | 'get' | 'head' | 'delete' | 'deleteMany' | 'copy' | 'list'
type ObjectFault = FaultRule<Operation>

/** The operation that a command, or an input of a history, begins with. */
const operations: Readonly<Record<ObjectCommand['type'] | HistoryInput['type'], Operation>> = {
  put: 'put',
  'put-if-absent': 'put',
  'put-if-match': 'put',
  get: 'get',
  'get-unless': 'head',
  head: 'head',
  delete: 'delete',
  'delete-many': 'deleteMany',
  copy: 'copy',
  list: 'list',
}

/** A failure that S3 can say, or an answer that is lost. */
const fault = fc.constantFrom<Omit<ObjectFault, 'operation'>>(
  { error: 'rate-limited' },
  { error: 'unavailable' },
  { error: 'permission-denied' },
  { error: 'unavailable', when: 'after' },
)
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined, freq: 3 })

/** Whether S3 can be made to say it in answer to the command. */
function canFail(command: ObjectCommand, { error }: Omit<ObjectFault, 'operation'>): boolean {
  // HEAD has no body to tell SlowDown from any other 503; a 403 makes the adapter ask again, and that is answered.
  if (operations[command.type] === 'head') return error === 'unavailable'
  // No key is no request, and one is a DeleteObject.
  return command.type !== 'delete-many' || new Set(command.keys).size > 1
}

let emulated: Awaited<ReturnType<typeof startBucket>>
let adapter: Guarded<ObjectStorage>
let another: Guarded<ObjectStorage>
beforeAll(async () => {
  emulated = await startBucket()
  const { port } = emulated.server
  ;[adapter, another] = await Promise.all([connectS3({ port }), connectS3({ port })])
})
afterAll(async () => {
  await Promise.all([adapter.close(), another.close()])
  await emulated.server.close()
  await emulated.storage.guarded.close()
})

async function stateOf(storage: ObjectStorage): Promise<unknown> {
  return (await collect(storage.listAll())).map(({ key, size, etag }) => ({ key, size, etag }))
}

test('whatever fails or is lost, the fake and the adapter on the emulator answer alike and hold the same', async () => {
  const commands = objectCommands.chain((all) =>
    fc.tuple(...all.map((command) => fc.record({ command: fc.constant(command), fault: maybe(fault) }))),
  )
  await assertRuns(
    fc.asyncProperty(commands, async (steps) => {
      emulated.storage.reset()
      const fake = new FakeObjectStorage({ clock: systemClock })
      for (const { command, fault: failing } of steps) {
        const operation = operations[command.type]
        if (failing !== undefined && canFail(command, failing)) {
          for (const each of [fake, emulated.storage]) each.faults.script([{ ...failing, operation }])
        }
        const [onFake, onEmulator] = [
          await runObjectCommand(fake.guarded.port, command),
          await runObjectCommand(adapter.port, command),
        ]
        assert.deepEqual(onEmulator, onFake, JSON.stringify({ command, failing }))
        // What a command never came to must not hit the next one.
        for (const each of [fake, emulated.storage]) each.faults.clear()
      }
      assert.deepEqual(await stateOf(adapter.port), await stateOf(fake.guarded.port))
    }),
    { runs: 60 },
  )
})

describe('whatever fails, is lost or comes late, one order of the calls explains every answer', () => {
  const etags = new Map<string, string>(historyBodies.map((body) => [body, etagOf(body)]))
  const model = historyModel((body) => etags.get(body) ?? '')
  const clients = historiesOf([...etags.values()]).chain((each) =>
    fc.tuple(
      ...each.map((inputs) =>
        fc.tuple(...inputs.map((input) => fc.record({ input: fc.constant(input), fault: maybe(fault) }))),
      ),
    ),
  )
  async function judged(
    storage: FakeObjectStorage,
    ports: readonly ObjectStorage[],
    runs: number,
  ): Promise<number> {
    let lost = 0
    await assertRuns(
      fc.asyncProperty(fc.scheduler(), clients, async (scheduler, each) => {
        storage.reset()
        const run = async ({ input, fault: failing }: (typeof each)[number][number], client: number) => {
          await scheduler.schedule(Promise.resolve(), `client ${client} calls`)
          if (failing !== undefined) {
            storage.faults.script([{ ...failing, operation: operations[input.type] }])
          }
          try {
            return await runHistoryInput(ports[client % ports.length] as ObjectStorage, input)
          } finally {
            await scheduler.schedule(Promise.resolve(), `client ${client} hears`)
          }
        }
        const recorded = recordHistory<(typeof each)[number][number], HistoryOutput>(
          each,
          run,
          failedCondition,
        )
        const history = (await scheduler.waitFor(recorded)).map(({ input, ...rest }) => ({
          ...rest,
          input: input.input,
        }))
        lost += history.filter(({ answer }) => answer === undefined).length
        assertLinearizable(model, history)
      }),
      { runs },
    )
    return lost
  }

  test('on the fake', async () => {
    const storage = new FakeObjectStorage({ clock: systemClock })
    expect(await judged(storage, [storage.guarded.port], 150)).toBeGreaterThan(0)
  })

  test('on the adapter with the emulator, from two clients', async () => {
    const ports = [adapter.port, another.port]
    expect(await judged(emulated.storage, ports, 40)).toBeGreaterThan(0)
  })
})
