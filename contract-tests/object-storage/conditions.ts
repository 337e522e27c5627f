/** What holds for conditional writes and reads. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import { expectPortError } from '../expect.ts'
import { bytesOf, type ObjectBehaviour, overOnePartBytes, pattern, streamOf, textAt } from './samples.ts'

const missed = { outcome: 'not-applied', retryable: false } as const

export const conditions: readonly ObjectBehaviour[] = [
  {
    id: 'conditional-write/if-absent',
    sentence: 'ifAbsent stores where the key is absent, and is precondition-failed where it is not.',
    async check({ port }) {
      await port.put('once', 'first', { ifAbsent: true })
      await expectPortError(port.put('once', 'second', { ifAbsent: true }), 'precondition-failed', {
        ...missed,
        subject: 'once',
      })
      assert.equal(await textAt(port, 'once'), 'first')
      await port.put('once', 'third', { ifAbsent: false })
      await port.delete('once')
      await port.put('once', 'fourth', { ifAbsent: true })
      assert.equal(await textAt(port, 'once'), 'fourth')
    },
  },
  {
    id: 'conditional-write/if-absent-wins-once',
    sentence: 'Of many that race with ifAbsent exactly one succeeds.',
    async check({ port }) {
      const answers = await Promise.allSettled(
        Array.from({ length: 12 }, (_, index) => port.put('raced', String(index), { ifAbsent: true })),
      )
      const won = answers.flatMap((answer, index) => (answer.status === 'fulfilled' ? [index] : []))
      assert.equal(won.length, 1)
      assert.equal(await textAt(port, 'raced'), String(won[0]))
      for (const answer of answers) {
        if (answer.status === 'fulfilled') continue
        // S3 may also say that another write was under way; then nothing is known of who won.
        assert.ok(PortError.is(answer.reason))
        assert.ok(['precondition-failed', 'conflict'].includes(answer.reason.code), answer.reason.message)
      }
    },
  },
  {
    id: 'conditional-write/if-absent-on-a-long-body',
    sentence: 'ifAbsent holds also on bytes longer than any part.',
    async check({ port }) {
      const bytes = pattern(overOnePartBytes)
      await port.put('long', bytes, { ifAbsent: true })
      await expectPortError(
        port.put('long', bytes.with(0, 1), { ifAbsent: true }),
        'precondition-failed',
        missed,
      )
      assert.equal((await port.head('long'))?.size, bytes.length)
    },
  },
  {
    id: 'conditional-write/if-absent-on-a-stream',
    sentence: 'ifAbsent holds on streams, short and of several parts, also for what came during the upload.',
    capability: 'conditional-stream',
    undeclared: ({ port }) => port.put('key', streamOf(pattern(1)), { ifAbsent: true }),
    async check({ port }) {
      for (const length of [10, overOnePartBytes]) {
        const key = `stream-${length}`
        await port.put(key, streamOf(pattern(length)), { ifAbsent: true })
        await expectPortError(
          port.put(key, streamOf(pattern(length)), { ifAbsent: true }),
          'precondition-failed',
          missed,
        )
        const overtaken = async function* (): AsyncGenerator<Uint8Array> {
          yield* streamOf(pattern(length))
          await port.put(`${key}-raced`, 'sooner')
        }
        await expectPortError(
          port.put(`${key}-raced`, overtaken(), { ifAbsent: true }),
          'precondition-failed',
          missed,
        )
        assert.equal(await textAt(port, `${key}-raced`), 'sooner')
      }
    },
  },
  {
    id: 'conditional-write/if-match',
    sentence:
      'ifMatch stores over the etag given; over another, and where the key is absent, it is precondition-failed.',
    capability: 'put-if-match',
    undeclared: ({ port }) => port.put('key', 'x', { ifMatch: '"etag"' }),
    async check({ port }) {
      const first = await port.put('matched', 'first')
      const second = await port.put('matched', 'second', { ifMatch: first.etag })
      await expectPortError(
        port.put('matched', 'third', { ifMatch: first.etag }),
        'precondition-failed',
        missed,
      )
      assert.equal(await textAt(port, 'matched'), 'second')
      await port.delete('matched')
      await expectPortError(port.put('matched', 'x', { ifMatch: second.etag }), 'precondition-failed', missed)
      assert.equal(await port.head('matched'), undefined)
    },
  },
  {
    id: 'conditional-write/if-match-wins-once',
    sentence: 'Of many that race with the same ifMatch exactly one succeeds.',
    capability: 'put-if-match',
    undeclared: ({ port }) => port.put('key', 'x', { ifMatch: '"etag"' }),
    async check({ port }) {
      const { etag } = await port.put('raced', 'start')
      const answers = await Promise.allSettled(
        Array.from({ length: 8 }, (_, index) => port.put('raced', String(index), { ifMatch: etag })),
      )
      assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1)
    },
  },
  {
    id: 'conditional-write/contradictions-are-refused',
    sentence: 'ifAbsent with ifMatch, and an etag that is none, are invalid-argument.',
    async check({ port }) {
      const both = { ifAbsent: true, ifMatch: '"etag"' }
      await expectPortError(port.put('key', 'x', both), 'invalid-argument')
      await expectPortError(port.put('key', 'x', { ifAbsent: 'yes' as never }), 'invalid-argument')
      for (const etag of ['', '*', 'unquoted', '"a" , "b"', 'W/"weak"', '"a\r\nb"', '""', 7 as never]) {
        await expectPortError(port.put('key', 'x', { ifMatch: etag }), 'invalid-argument')
        await expectPortError(port.get('key', { ifMatch: etag }), 'invalid-argument')
        await expectPortError(port.get('key', { ifNoneMatch: etag }), 'invalid-argument')
        await expectPortError(port.copy('key', 'b', { ifSourceMatch: etag }), 'invalid-argument')
      }
      for (const date of [new Date(Number.NaN), '2026-01-01' as never, 0 as never]) {
        await expectPortError(port.get('key', { ifModifiedSince: date }), 'invalid-argument')
        await expectPortError(port.get('key', { ifUnmodifiedSince: date }), 'invalid-argument')
      }
    },
  },
  {
    id: 'conditional-read/etags',
    sentence: 'ifMatch and ifNoneMatch read by the etag; what is not modified has the reason not-modified.',
    async check({ port }) {
      const { etag } = await port.put('read', 'content')
      const other = '"0123456789abcdef0123456789abcdef"'
      assert.equal((await bytesOf(await port.get('read', { ifMatch: etag }))).length, 7)
      assert.equal((await bytesOf(await port.get('read', { ifNoneMatch: other }))).length, 7)
      await expectPortError(port.get('read', { ifMatch: other }), 'precondition-failed', {
        reason: undefined as never,
      })
      const notModified = { reason: 'not-modified' }
      await expectPortError(port.get('read', { ifNoneMatch: etag }), 'precondition-failed', notModified)
    },
  },
  {
    id: 'conditional-read/dates',
    sentence: 'ifModifiedSince and ifUnmodifiedSince read by the time of the last write, in whole seconds.',
    async check({ port }) {
      await port.put('dated', 'content')
      const { lastModified } = (await port.head('dated')) ?? assert.fail()
      const before = new Date(lastModified.getTime() - 5_000)
      const within = new Date(lastModified.getTime() + 900)
      assert.equal((await bytesOf(await port.get('dated', { ifModifiedSince: before }))).length, 7)
      assert.equal((await bytesOf(await port.get('dated', { ifUnmodifiedSince: lastModified }))).length, 7)
      assert.equal((await bytesOf(await port.get('dated', { ifUnmodifiedSince: within }))).length, 7)
      const notModified = { reason: 'not-modified' }
      await expectPortError(
        port.get('dated', { ifModifiedSince: lastModified }),
        'precondition-failed',
        notModified,
      )
      await expectPortError(port.get('dated', { ifUnmodifiedSince: before }), 'precondition-failed')
    },
  },
  {
    id: 'conditional-read/etag-decides-over-date',
    sentence: 'Beside an etag condition the date condition of the same sense is not looked at.',
    async check({ port }) {
      const { etag } = await port.put('both', 'content')
      const { lastModified } = (await port.head('both')) ?? assert.fail()
      const before = new Date(lastModified.getTime() - 5_000)
      const other = '"0123456789abcdef0123456789abcdef"'
      assert.ok(await port.get('both', { ifMatch: etag, ifUnmodifiedSince: before }).then(bytesOf))
      assert.ok(await port.get('both', { ifNoneMatch: other, ifModifiedSince: lastModified }).then(bytesOf))
      const hit = port.get('both', { ifNoneMatch: etag, ifModifiedSince: before })
      await expectPortError(hit, 'precondition-failed', { reason: 'not-modified' })
    },
  },
  {
    id: 'conditional-read/absent-stays-absent',
    sentence: 'An absent key is undefined, whatever conditions and range were given.',
    async check({ port }) {
      const options = { ifMatch: '"x"', ifUnmodifiedSince: new Date(0), range: { start: 5 } }
      assert.equal(await port.get('absent', options), undefined)
      assert.equal(await port.get('absent', { ifNoneMatch: '"x"' }), undefined)
    },
  },
]
