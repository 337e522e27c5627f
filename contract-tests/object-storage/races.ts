/** What holds where several write at once: conditions have one winner, and nothing is mixed or lost. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import type { ObjectStorage, WrittenObject } from '../../src/ports/object-storage.ts'
import {
  bytesOf,
  type ObjectBehaviour,
  overOnePartBytes,
  pattern,
  sameBytes,
  streamOf,
  textAt,
} from './samples.ts'

/** The one of the racers that won. The others may also be told that another write was under way. */
async function onlyWinner(
  racers: readonly Promise<WrittenObject>[],
): Promise<{ readonly index: number; readonly written: WrittenObject }> {
  const answers = await Promise.allSettled(racers)
  const won = answers.flatMap((answer, index) =>
    answer.status === 'fulfilled' ? [{ index, written: answer.value }] : [],
  )
  for (const answer of answers) {
    if (answer.status === 'rejected') assertLost(answer.reason)
  }
  const [winner] = won
  assert.ok(winner !== undefined && won.length === 1, `${won.length} of ${racers.length} won`)
  return winner
}

function assertLost(error: unknown): void {
  if (!PortError.is(error)) throw error
  assert.ok(['precondition-failed', 'conflict'].includes(error.code), error.message)
  assert.equal(error.outcome, 'not-applied', error.message)
}

const needsMatch = {
  capability: 'put-if-match',
  undeclared: ({ port }: { readonly port: ObjectStorage }) => port.put('key', 'x', { ifMatch: '"etag"' }),
} as const
const needsStream = {
  capability: 'conditional-stream',
  undeclared: ({ port }: { readonly port: ObjectStorage }) =>
    port.put('key', streamOf(pattern(1)), { ifAbsent: true }),
} as const

export const races: readonly ObjectBehaviour[] = [
  {
    id: 'race/if-absent-in-every-round',
    sentence: 'Round after round, with a delete between, ifAbsent has one winner, whose content stays.',
    async check({ port }) {
      for (let round = 0; round < 15; round += 1) {
        const { index, written } = await onlyWinner(
          Array.from({ length: 8 }, (_, racer) => port.put('raced', `${round}-${racer}`, { ifAbsent: true })),
        )
        assert.equal(await textAt(port, 'raced'), `${round}-${index}`)
        assert.equal((await port.head('raced'))?.etag, written.etag)
        await port.delete('raced')
      }
    },
  },
  {
    id: 'race/if-absent-of-two-clients',
    sentence: 'Clients that know nothing of each other have one winner of ifAbsent, too.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = (await openAnother?.()) ?? assert.fail()
      try {
        for (let round = 0; round < 10; round += 1) {
          const key = `shared-${round}`
          const racers = Array.from({ length: 6 }, (_, racer) =>
            (racer % 2 === 0 ? port : other.port).put(key, String(racer), { ifAbsent: true }),
          )
          const { index } = await onlyWinner(racers)
          assert.equal(await textAt(other.port, key), String(index))
        }
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'race/if-match-in-every-round',
    sentence: 'Round after round ifMatch with the newest etag has one winner, whose content stays.',
    ...needsMatch,
    async check({ port }) {
      let { etag } = await port.put('raced', 'start')
      for (let round = 0; round < 15; round += 1) {
        const ifMatch = etag
        const { index, written } = await onlyWinner(
          Array.from({ length: 8 }, (_, racer) => port.put('raced', `${round}-${racer}`, { ifMatch })),
        )
        assert.equal(await textAt(port, 'raced'), `${round}-${index}`)
        assert.equal((await port.head('raced'))?.etag, written.etag)
        etag = written.etag
      }
    },
  },
  {
    id: 'race/compare-and-set-loses-nothing',
    sentence: 'Workers that each read, add one and put with ifMatch, until it holds, lose no addition.',
    ...needsMatch,
    async check({ port }) {
      await port.put('counter', '0')
      const additions = 6
      const worker = async (): Promise<void> => {
        for (let done = 0; done < additions; ) {
          const object = (await port.get('counter')) ?? assert.fail()
          const count = Number(Buffer.from(await bytesOf(object)).toString())
          try {
            await port.put('counter', String(count + 1), { ifMatch: object.info.etag })
            done += 1
          } catch (error) {
            assertLost(error)
          }
        }
      }
      await Promise.all(Array.from({ length: 5 }, worker))
      assert.equal(await textAt(port, 'counter'), String(5 * additions))
    },
  },
  {
    id: 'race/if-absent-of-long-streams',
    sentence: 'Of streams longer than a part that race with ifAbsent one wins, and it is whole.',
    ...needsStream,
    async check({ port }) {
      const bodies = [1, 2, 3].map((seed) => pattern(overOnePartBytes + seed, seed))
      const { index, written } = await onlyWinner(
        bodies.map((body) => port.put('raced', streamOf(body, 1_000_000), { ifAbsent: true })),
      )
      const object = await port.get('raced')
      assert.equal(object?.info.etag, written.etag)
      assert.ok(sameBytes(await bytesOf(object), bodies[index] ?? new Uint8Array()))
    },
  },
  {
    id: 'race/long-writers-do-not-mix',
    sentence: 'Of parallel uploads longer than a part the object is exactly one, with its own metadata.',
    async check({ port }) {
      const bodies = [1, 2, 3, 4].map((seed) => pattern(overOnePartBytes + seed, seed))
      await Promise.all(
        bodies.map((body, index) =>
          port.put('raced', index % 2 === 0 ? body : streamOf(body, 1_000_000), {
            metadata: { writer: String(index) },
          }),
        ),
      )
      const object = await port.get('raced')
      const winner = bodies[Number(object?.info.metadata.writer)] ?? assert.fail()
      assert.equal(object?.info.size, winner.length)
      assert.ok(sameBytes(await bytesOf(object), winner))
    },
  },
  {
    id: 'race/readers-see-whole-versions',
    sentence: 'Readers beside writers see one version whole: its bytes, its size, its etag, its metadata.',
    async check({ port }) {
      const bodies = Array.from({ length: 6 }, (_, version) => pattern(150_000 + version, version + 1))
      const put = (version: number): Promise<WrittenObject> =>
        port.put('changing', bodies[version] ?? '', { metadata: { version: String(version) } })
      await put(0)
      let writing = true
      const etags = new Map<string, string>()
      const read = async (): Promise<void> => {
        while (writing) {
          const object = (await port.get('changing')) ?? assert.fail('absent between two versions')
          const { metadata, size, etag } = object.info
          const version = metadata.version ?? ''
          const body = bodies[Number(version)] ?? assert.fail()
          assert.equal(size, body.length)
          assert.ok(sameBytes(await bytesOf(object), body), 'two versions were mixed')
          assert.equal(etags.get(version) ?? etag, etag, 'one version has two etags')
          etags.set(version, etag)
        }
      }
      const write = async (): Promise<void> => {
        for (let round = 0; round < 4; round += 1) {
          await Promise.all(bodies.map((_, version) => put(version)))
        }
      }
      const readers = Promise.all([read(), read(), read()])
      try {
        await write()
      } finally {
        writing = false
        await readers
      }
      assert.ok(etags.size > 0)
    },
  },
  {
    id: 'race/copies-are-of-one-version',
    sentence: 'A copy made while its source is overwritten has the content and metadata of one version.',
    async check({ port }) {
      const versions = ['a', 'b', 'c'].map((letter) => ({
        text: letter.repeat(50_000),
        metadata: { version: letter },
      }))
      await port.put('source', versions[0]?.text ?? '', { metadata: { version: 'a' } })
      for (let round = 0; round < 5; round += 1) {
        await Promise.all([
          ...versions.map(({ text, metadata }) => port.put('source', text, { metadata })),
          ...[0, 1, 2].map((copy) => port.copy('source', `copy-${copy}`)),
        ])
        for (const copy of [0, 1, 2]) {
          const object = await port.get(`copy-${copy}`)
          const letter = object?.info.metadata.version ?? assert.fail()
          assert.equal(Buffer.from(await bytesOf(object)).toString(), letter.repeat(50_000))
        }
      }
    },
  },
  {
    id: 'race/put-and-delete',
    sentence:
      'Where a put and a delete race, the object is there whole or not at all, in reads and in lists.',
    async check({ port }) {
      for (let round = 0; round < 10; round += 1) {
        await port.put('contested', 'before')
        await Promise.all([port.put('contested', 'after'), port.delete('contested')])
        const text = await textAt(port, 'contested')
        assert.ok(text === 'after' || text === undefined, String(text))
        const listed = (await port.list({ prefix: 'contested' })).objects.length
        assert.equal(listed, text === undefined ? 0 : 1)
      }
    },
  },
]
