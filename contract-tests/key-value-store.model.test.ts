import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { namespace } from '../src/ports/key-value-views.ts'
import type { OpenSubject } from './contract.ts'
import { collect } from './expect.ts'
import { openOn } from './key-value-store.setup.ts'
import {
  KeyValueModel,
  keyValueCommands,
  keyValueState,
  runKeyValueCommand,
} from './key-value-store-model.ts'
import { assertRuns } from './runs.ts'
import { type FreshPlace, freshRedis } from './servers.ts'

let place: FreshPlace
let open: OpenSubject<KeyValueStore>
beforeAll(async () => {
  place = await freshRedis()
  open = await openOn(place.url)
})
afterAll(async () => {
  await open.guarded.close()
  await open.dispose?.()
  await place.drop()
})

async function answersLikeTheModel(store: KeyValueStore, runs: number): Promise<void> {
  await assertRuns(
    fc.asyncProperty(keyValueCommands, async (commands) => {
      await store.deleteMany(await collect(store.scan('')))
      const model = new KeyValueModel()
      for (const command of [...commands, ...keyValueState]) {
        assert.deepEqual(
          await runKeyValueCommand(store, command),
          model.run(command),
          JSON.stringify(command),
        )
      }
    }),
    { runs },
  )
}

test('redis answers any sequence of commands as the model does', async () => {
  await answersLikeTheModel(open.guarded.port, 75)
})

test('a namespace answers as the model does, beside keys that are not its own', async () => {
  await open.guarded.port.set('out', 'side')
  await answersLikeTheModel(namespace(open.guarded.port, 'in:'), 40)
  assert.equal(await open.guarded.port.getText('out'), 'side')
})
