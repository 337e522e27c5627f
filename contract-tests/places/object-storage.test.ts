/** A prefix keeps the whole contract of a bucket, and sees and touches nothing beside it. */
import { afterAll, expect, test } from 'vitest'
import { FakeObjectStorage } from '../../fakes/object-storage.ts'
import type { Driver } from '../../src/adapter.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { guard } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import { ObjectStorage } from '../../src/ports/object-storage.ts'
import { objectStorageContract } from '../object-storage.ts'
import { describeContract } from '../vitest.ts'
import { objectStoragePlace } from './object-storage.ts'
import type { Connection } from './place.ts'

const bucket = new FakeObjectStorage({ clock: systemClock })

/** An error as adapters throw it: its subject is the guard's to add. */
function bare(error: unknown): unknown {
  if (!PortError.is(error)) return error
  const { code, detail: message, outcome, retryable, reason, details } = error
  return new PortError({
    code,
    message,
    outcome,
    retryable,
    details,
    ...(reason === undefined ? {} : { reason }),
  })
}

const { port } = bucket.guarded

/** A call of the bucket, failing as an adapter's does. */
function barely<Args extends readonly unknown[], Result>(call: (...args: Args) => Promise<Result>) {
  return (...args: Args): Promise<Result> =>
    call(...args).catch((error: unknown) => {
      throw bare(error)
    })
}

/** The bucket as an adapter gives it. */
const driver: Driver<ObjectStorage> = {
  calls: {
    put: barely(port.put),
    get: barely(port.get),
    head: barely(port.head),
    delete: barely(port.delete),
    deleteMany: barely(port.deleteMany),
    copy: barely(port.copy),
    list: barely(port.list),
    listAll: port.listAll,
    signUrl: barely(port.signUrl),
  },
  ping: async () => {},
  close: async () => {},
}

const connection: Connection<ObjectStorage> = {
  name: 'portside-verify-test',
  adapter: 'fake',
  parameters: new Set(),
  canaries: [],
  really: undefined,
  refuses: false,
  signal: new AbortController().signal,
  open: async () => driver,
  openUnreachable: () => Promise.reject(new Error('it is always there')),
  guard: (opened, observe) => guard(ObjectStorage, opened, { observe }),
}

const place = await objectStoragePlace(connection)

// Before, between and after everything that the place can make.
const foreign = [
  'a',
  'portside-verify-tes',
  'portside-verify-test',
  'portside-verify-test0',
  'zz',
  '\u{10ffff}',
]
for (const key of foreign) await bucket.put(key, `of ${key}`)

describeContract(objectStorageContract, {
  name: 'a prefix of the fake',
  kind: 'fake',
  // Nothing waits: how signed URLs expire has nothing to do with the place.
  open: async () => ({ ...(await place.open()), passTime: undefined }),
})

async function keys(): Promise<readonly string[]> {
  const all: string[] = []
  for await (const { key } of bucket.listAll()) all.push(key)
  return all
}

test('a place that is left is empty, and what others have is as it was', async () => {
  expect(await keys()).toEqual(foreign)
  for (const key of foreign) expect((await bucket.head(key))?.size).toBe(Buffer.byteLength(`of ${key}`))
})

test('what a run that was cut short left behind is removed, and nothing else', async () => {
  const { guarded } = await place.open()
  await guarded.port.put('left', 'behind')
  expect(await keys()).toHaveLength(foreign.length + 1)
  await place.remove()
  await place.remove()
  expect(await keys()).toEqual(foreign)
})

test('a key that leaves no room for the prefix is the place’s own limit, and told as such', async () => {
  const open = await place.open()
  await open.guarded.port.put('short', 'x')
  expect(open.limitation?.()).toBeUndefined()
  await expect(open.guarded.port.put('k'.repeat(1_024), 'x')).rejects.toThrow()
  expect(open.limitation?.()).toMatch(/^its place is a prefix, which leaves \d+ bytes for a key$/)
  expect((await place.open()).limitation?.()).toBeUndefined()
})

afterAll(() => place.remove())
