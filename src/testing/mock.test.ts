import assert from 'node:assert/strict'
import { describe, expect, test } from 'vitest'
import { PortError } from '../errors.ts'
import { KeyValueStore } from '../ports/key-value-store.ts'
import { Mailer, type MailMessage, type MailReceipt } from '../ports/mailer.ts'
import { ObjectStorage } from '../ports/object-storage.ts'
import { SocialPublisher } from '../ports/social-publisher.ts'
import { sql } from '../ports/sql.ts'
import { SqlDatabase, SqlTransaction } from '../ports/sql-database.ts'
import { any, like, MockVerificationError, mock, sequence, UnexpectedCallError } from './index.ts'

const message: MailMessage = {
  from: 'shop@example.com',
  to: ['ada@example.com'],
  subject: 'Your order 7',
  text: 'Thank you!',
}
const receipt: MailReceipt = { messageId: '<1@example.com>', accepted: ['ada@example.com'], refused: [] }
const toBo: MailMessage = { ...message, to: ['bo@example.com'] }

async function thrownBy(work: () => unknown): Promise<Error> {
  try {
    await work()
  } catch (error) {
    assert(error instanceof Error)
    return error
  }
  throw new Error('nothing was thrown')
}

const textOf = async (work: () => unknown): Promise<string> => (await thrownBy(work)).message

describe('an expected call', () => {
  test('is answered as it was told, and copied both ways', async () => {
    const mail = mock(Mailer)
    const own = { ...receipt, accepted: ['ada@example.com'] }
    mail.expect.send(message).resolves(own)
    own.accepted.push('changed later')

    const answer = await mail.port.send(message)

    expect(answer).toEqual(receipt)
    expect(answer).not.toBe(own)
    mail.verify()
  })

  test('is what it was when it was told, and so is its answer, whatever becomes of either', async () => {
    using objects = mock(ObjectStorage)
    const keys = ['a']
    objects.expect.deleteMany(keys).resolves({ items: [], ok: true })
    objects.expect
      .list()
      .resolves({ objects: [], prefixes: ['a/'], nextPageToken: undefined })
      .times(2)
    keys.push('b')
    await objects.port.deleteMany(['a'])
    const first = await objects.port.list()
    ;(first.prefixes as string[]).push('b/')

    expect((await objects.port.list()).prefixes).toEqual(['a/'])
  })

  test('comes as often as it was told, each time with the same answer', async () => {
    const mail = mock(Mailer)
    mail.expect.send(message).times(2).resolves(receipt)

    expect([await mail.port.send(message), await mail.port.send(message)]).toEqual([receipt, receipt])
    await expect(mail.port.send(message)).rejects.toThrow('came as often as expected already')
  })

  test('may be one that need not come, before the one that must', async () => {
    const objects = mock(ObjectStorage)
    objects.expect.head(any()).resolves(undefined).times({ min: 0, max: 2 })
    objects.expect.delete('a').resolves()
    await objects.port.head('b')
    await objects.port.delete('a')
    objects.verify()

    expect(await textOf(() => objects.port.head('b'))).toContain('expected after it has come already')
  })

  test('fails with the error it was told, made complete by the guard', async () => {
    const mail = mock(Mailer, { service: 'mail' })
    mail.expect.send(message).rejects({ code: 'rejected', reason: 'bad-recipient' })
    mail.expect.send(message).rejects(new PortError({ code: 'timeout', message: 'too slow' }))

    await expect(mail.port.send(message)).rejects.toMatchObject({
      code: 'rejected',
      reason: 'bad-recipient',
      service: 'mail',
      operation: 'send',
      subject: 'ada@example.com',
      outcome: 'not-applied',
    })
    await expect(mail.port.send(message)).rejects.toMatchObject({ code: 'timeout', outcome: 'unknown' })
    mail.verify()
  })

  test('runs a function, which is given what an adapter would be', async () => {
    const objects = mock(ObjectStorage)
    objects.expect.put('a', any(), { ifAbsent: true }).runs(async (key, body, options) => {
      assert(typeof body === 'object' && Symbol.asyncIterator in body)
      let size = 0
      for await (const chunk of body) size += chunk.length
      expect(options?.signal).toBeInstanceOf(AbortSignal)
      return { key, size, etag: '"1"' }
    })
    const body = (async function* () {
      yield new Uint8Array(3)
      yield new Uint8Array(4)
    })()

    expect(await objects.port.put('a', body, { ifAbsent: true })).toEqual({ key: 'a', size: 7, etag: '"1"' })
  })

  test('is cancelled and timed out like any other', async () => {
    const mail = mock(Mailer)
    mail.expect
      .send(message)
      .runs((_, options) => rejectedOnAbort(options?.signal))
      .times(2)
    const abort = new AbortController()
    const sending = mail.port.send(message, { signal: abort.signal })
    abort.abort()

    await expect(sending).rejects.toMatchObject({ code: 'cancelled', outcome: 'unknown' })
    await expect(mail.port.send(message, { timeoutMs: 5 })).rejects.toMatchObject({ code: 'timeout' })
    mail.verify()
  })

  test('without an answer fails the test and says what to add', async () => {
    const mail = mock(Mailer)
    mail.expect.send(message)

    await expect(mail.port.send(message)).rejects.toThrow(
      /was expected, but not how to answer it.*resolves\(\)/s,
    )
    expect(() => mail.verify()).toThrow(MockVerificationError)
  })

  test('is told one answer and one number of times', () => {
    const told = mock(Mailer).expect.send(message).resolves(receipt).times(1)

    expect(() => told.rejects({ code: 'timeout' })).toThrow('has its answer already')
    expect(() => told.times(2)).toThrow('told already')
    for (const times of [0, -1, 1.5, Number.NaN, { min: 2, max: 1 }, { max: 0 }, { least: 1 }]) {
      expect(() =>
        mock(Mailer)
          .expect.send(message)
          .times(times as number),
      ).toThrow(PortError)
    }
    expect(() => (mock(Mailer).expect.send as (...args: unknown[]) => void)(message, {}, 1)).toThrow(
      'send takes 1 arguments and options; 3 were expected of it',
    )
  })
})

function rejectedOnAbort(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))
  })
}

describe('a stream', () => {
  const listed = (key: string) => ({ key, size: 1, etag: '"1"', lastModified: new Date(0) })

  test('yields what it was told, then fails where it was told to', async () => {
    const objects = mock(ObjectStorage)
    objects.expect.listAll({ prefix: 'a' }).yields([listed('a1'), listed('a2')])
    objects.expect.listAll().yields([listed('b')], { code: 'unavailable' })

    expect((await Array.fromAsync(objects.port.listAll({ prefix: 'a' }))).map(({ key }) => key)).toEqual([
      'a1',
      'a2',
    ])
    const seen: string[] = []
    const failure = await thrownBy(async () => {
      for await (const { key } of objects.port.listAll()) seen.push(key)
    })

    expect(seen).toEqual(['b'])
    expect(failure).toMatchObject({ code: 'unavailable', operation: 'listAll' })
    expect(objects.calls.map(({ state, result }) => [state, (result as unknown[]).length])).toEqual([
      ['resolved', 2],
      ['rejected', 1],
    ])
    objects.verify()
  })

  test('left early is one that went well, and its function is told to stop', async () => {
    const objects = mock(ObjectStorage)
    let stopped = false
    objects.expect.listAll().runs(async function* () {
      try {
        for (;;) yield listed('a')
      } finally {
        stopped = true
      }
    })
    for await (const _ of objects.port.listAll()) break

    expect(stopped).toBe(true)
    expect(objects.calls).toMatchObject([{ operation: 'listAll', state: 'resolved', result: [listed('a')] }])
  })

  test('not expected fails at its first item, and verification', async () => {
    const objects = mock(ObjectStorage)
    objects.expect.listAll({ prefix: 'a' }).yields([])
    const failure = await thrownBy(() => Array.fromAsync(objects.port.listAll({ prefix: 'b' })))

    expect(failure).toBeInstanceOf(UnexpectedCallError)
    expect(failure.message).toContain("options.prefix: expected 'a', got 'b'")
    expect(() => objects.verify()).toThrow('options.prefix')
  })
})

describe('an unexpected call', () => {
  test('shows itself, the nearest expected call and each field that differs', async () => {
    const mail = mock(Mailer)
    mail.expect.send({ ...message, to: ['cy@example.com'], subject: 'Other' }).resolves(receipt)
    mail.expect.send(message).resolves(receipt)
    const failure = await thrownBy(() => mail.port.send(toBo))

    expect(failure).toBeInstanceOf(UnexpectedCallError)
    expect(failure.message).toBe(
      [
        'unexpected call:',
        '  mailer.send({',
        "    from: 'shop@example.com',",
        "    to: [ 'bo@example.com' ],",
        "    subject: 'Your order 7',",
        "    text: 'Thank you!'",
        '  })',
        'the nearest expected call (came 0 of 1 time):',
        '  mailer.send({',
        "    from: 'shop@example.com',",
        "    to: [ 'ada@example.com' ],",
        "    subject: 'Your order 7',",
        "    text: 'Thank you!'",
        '  })',
        'it differs in:',
        "  argument 1.to[0]: expected 'ada@example.com', got 'bo@example.com'",
        'expected next (came 0 of 1 time):',
        '  mailer.send({',
        "    from: 'shop@example.com',",
        "    to: [ 'cy@example.com' ],",
        "    subject: 'Other',",
        "    text: 'Thank you!'",
        '  })',
        'it differs in:',
        "  argument 1.to[0]: expected 'cy@example.com', got 'bo@example.com'",
        "  argument 1.subject: expected 'Other', got 'Your order 7'",
      ].join('\n'),
    )
  })

  test('is no PortError, so that code which handles a failed service does not handle it', async () => {
    const mail = mock(Mailer)
    const handled: unknown[] = []
    const failure = await thrownBy(async () => {
      try {
        await mail.port.send(message)
      } catch (error) {
        if (!PortError.is(error)) throw error
        handled.push(error)
      }
    })

    expect(handled).toEqual([])
    expect(failure.message).toContain('no call of mailer.send was expected')
  })

  test('fails verification even where it was swallowed', async () => {
    const mail = mock(Mailer)
    const failure = await mail.port.send(message).catch((error: unknown) => error)

    const verified = await thrownBy(() => mail.verify())
    expect(verified).toBeInstanceOf(MockVerificationError)
    expect(verified.cause).toBe(failure)
    // Once more: asking again does not forgive.
    expect(() => mail.verify()).toThrow(MockVerificationError)
  })

  test('out of turn says so', async () => {
    const mail = mock(Mailer)
    mail.expect.send(message).resolves(receipt)
    mail.expect.send(toBo).resolves(receipt)

    const text = await textOf(() => mail.port.send(toBo))
    expect(text).toContain('it is the same, but what is expected before it has not come yet')
    expect(text).toMatch(/expected next \(came 0 of 1 time\):\n.*ada@example\.com/s)
  })

  test('with options that were not expected is one', async () => {
    const objects = mock(ObjectStorage)
    objects.expect.put('a', 'text').resolves({ key: 'a', size: 4, etag: '"1"' })

    const text = await textOf(() => objects.port.put('a', 'text', { ifAbsent: true }))
    expect(text).toContain('options.ifAbsent: expected nothing, got true')
  })

  test('passes through the callbacks of an outer port', async () => {
    const [db, tx] = [mock(SqlDatabase), mock(SqlTransaction)]
    db.expect.transaction(any()).runs((work) => work(tx.port))
    tx.expect.execute(sql`delete from orders where id = ${7}`).resolves(1)
    const failure = await thrownBy(() =>
      db.port.transaction((inner) => inner.execute(sql`delete from orders where id = ${8}`)),
    )

    expect(failure).toBeInstanceOf(UnexpectedCallError)
    expect(failure.message).toContain('argument 1.values[0]: expected 7, got 8')
    expect(() => tx.verify()).toThrow('2 problems')
    db.verify()
  })
})

describe('the arguments of a call', () => {
  test('are checked as every implementation checks them, and a refused call meets no expectation', async () => {
    const mail = mock(Mailer)
    mail.expect.send(any()).resolves(receipt)
    const bad = { ...message, subject: 'two\nlines' }
    const refused = await thrownBy(() => mail.port.send(bad))

    expect(refused).toMatchObject({ code: 'invalid-argument', operation: 'send' })
    expect(mail.calls).toMatchObject([{ operation: 'send', args: [bad], state: 'rejected', error: refused }])
    // Nothing unexpected has come; but what was expected has not either, and this is why.
    const text = await textOf(() => mail.verify())
    expect(text).toMatch(/^an expected call did not come \(came 0 of 1 time\):\n {2}mailer\.send\(any\(\)\)/)
    expect(text).toContain(`a call of it did not get past its checks: ${refused.message}`)
  })

  test('are not blamed for a call that is missing after another failed as it was told', async () => {
    const mail = mock(Mailer)
    mail.expect.send(message).rejects({ code: 'unavailable' }).times(2)
    await expect(mail.port.send(message)).rejects.toThrow(PortError)

    const text = await textOf(() => mail.verify())
    expect(text).toContain('an expected call did not come (came 1 of 2 times)')
    expect(text).not.toContain('checks')
  })

  test.each<[string, Parameters<ReturnType<typeof mock<Mailer>>['expect']['send']>[0]]>([
    ['a value', message],
    ['a value with a field left out', { ...message, html: undefined as never }],
    ['a predicate', ({ text }) => text === 'Thank you!'],
    ['a part', like({ to: ['ada@example.com'], subject: /^Your order \d+$/ })],
    ['a matcher inside a value', { ...message, subject: /^Your/, to: [(to) => to === 'ada@example.com'] }],
    ['a matcher for what is not there', { ...message, html: any(), cc: any() }],
    ['whatever comes', any()],
  ])('match %s', async (_, expected) => {
    using mail = mock(Mailer)
    mail.expect.send(expected).resolves(receipt)
    await mail.port.send(message)
  })

  test('leave signal and deadline out, unless they are named', async () => {
    const objects = mock(ObjectStorage)
    const { signal } = new AbortController()
    objects.expect.delete('a').resolves()
    objects.expect.delete('a', { timeoutMs: 500 }).resolves().times(1)
    objects.expect.delete('a', like({ signal })).resolves()
    await objects.port.delete('a', { signal, timeoutMs: 100 })

    expect(await textOf(() => objects.port.delete('a', { timeoutMs: 100 }))).toContain(
      'options.timeoutMs: expected 500, got 100',
    )
    await objects.port.delete('a', { signal, timeoutMs: 500 })
    await objects.port.delete('a', { signal, timeoutMs: 5 })
  })

  test('are recorded as they were when the call was made', async () => {
    const mail = mock(Mailer)
    mail.expect.send(any()).resolves(receipt)
    const sent = { ...message, to: ['ada@example.com'] }
    const sending = mail.port.send(sent)
    sent.to.push('late@example.com')
    expect(mail.calls).toMatchObject([{ state: 'pending', result: undefined }])
    await sending

    expect(mail.calls).toEqual([
      { operation: 'send', args: [message], state: 'resolved', result: receipt, error: undefined },
    ])
  })

  test('need the capabilities that the mock declares', async () => {
    const objects = mock(ObjectStorage, { capabilities: [] })

    await expect(objects.port.signUrl('a', { expiresInMs: 1_000 })).rejects.toMatchObject({
      code: 'unsupported',
    })
    objects.verify()
  })
})

describe('the order of calls', () => {
  test('counts within one mock, unless it is told otherwise', async () => {
    const ordered = mock(Mailer)
    const free = mock(Mailer, { inAnyOrder: true })
    for (const mail of [ordered, free]) {
      mail.expect.send(message).resolves(receipt)
      mail.expect.send(toBo).resolves(receipt)
    }
    await free.port.send(toBo)
    await free.port.send(message)
    free.verify()

    await expect(ordered.port.send(toBo)).rejects.toThrow(UnexpectedCallError)
  })

  test('counts across the mocks of a sequence', async () => {
    const order = sequence()
    const mail = mock(Mailer, { sequence: order })
    const posts = mock(SocialPublisher, { sequence: order })
    posts.expect.publish({ text: 'Sold out' }).resolves({ id: '1', text: 'Sold out' })
    mail.expect.send(message).resolves(receipt)

    const early = await textOf(() => mail.port.send(message))
    expect(early).toMatch(/before it has not come yet\nexpected next .*:\n {2}social-publisher\.publish/)
    await posts.port.publish({ text: 'Sold out' })
    await mail.port.send(message)

    posts.verify()
    expect(() => mail.verify()).toThrow('unexpected call')
    expect(() => order.verify()).toThrow('unexpected call')
  })

  test('is that in which they begin, however long each takes', async () => {
    using mail = mock(Mailer)
    const slow = Promise.withResolvers<MailReceipt>()
    mail.expect.send(message).runs(() => slow.promise)
    mail.expect.send(toBo).resolves({ ...receipt, messageId: '<2@example.com>' })
    const first = mail.port.send(message)
    const second = await mail.port.send(toBo)
    expect(mail.calls.map(({ state }) => state)).toEqual(['pending', 'resolved'])
    slow.resolve(receipt)

    expect([(await first).messageId, second.messageId]).toEqual(['<1@example.com>', '<2@example.com>'])
    expect(mail.calls.map(({ args: [{ to }], result }) => [to, result?.messageId])).toEqual([
      [['ada@example.com'], '<1@example.com>'],
      [['bo@example.com'], '<2@example.com>'],
    ])
  })

  test('keeps streams apart that are read in turns', async () => {
    using store = mock(KeyValueStore, { inAnyOrder: true })
    store.expect.scan('b').yields(['b1', 'b2'])
    store.expect.scan('a').yields(['a1', 'a2'])
    const [a, b] = [store.port.scan('a'), store.port.scan('b')].map((each) => each[Symbol.asyncIterator]())
    const seen: unknown[] = []
    for (let turn = 0; turn < 3; turn += 1) seen.push((await a?.next())?.value, (await b?.next())?.value)

    expect(seen).toEqual(['a1', 'b1', 'a2', 'b2', undefined, undefined])
    expect(store.calls).toMatchObject([{ result: ['a1', 'a2'] }, { result: ['b1', 'b2'] }])
  })

  test('tells two mocks of one port apart', async () => {
    const order = sequence()
    const [eu, us] = ['eu', 'us'].map((service) => mock(Mailer, { service, sequence: order }))
    eu?.expect.send(message).resolves(receipt)

    expect(await textOf(() => us?.port.send(message))).toMatch(
      /no call of us\.send was expected\nexpected next .*:\n {2}eu\.send/,
    )
  })

  test('of a sequence is verified for all its mocks', async () => {
    const order = sequence()
    mock(Mailer, { sequence: order }).expect.send(message).resolves(receipt)
    mock(SocialPublisher, { sequence: order }).expect.delete('1').resolves()

    const error = await thrownBy(() => order.verify())
    assert(error instanceof MockVerificationError)
    expect(error.problems).toHaveLength(2)
    expect(() => order[Symbol.dispose]()).not.toThrow()
  })

  test('is either shared or free', () => {
    const bad = { verify: () => {}, [Symbol.dispose]: () => {} }

    expect(() => mock(Mailer, { sequence: sequence(), inAnyOrder: true })).toThrow('give no inAnyOrder')
    expect(() => mock(Mailer, { sequence: bad })).toThrow('sequence must be one that sequence() made')
  })
})

describe('a function given to runs', () => {
  test('that fails an assertion fails the test, not the service', async () => {
    const mail = mock(Mailer)
    mail.expect.send(any()).runs(async ({ subject }) => {
      assert.equal(subject, 'Another')
      return receipt
    })
    const failure = await thrownBy(() => mail.port.send(message))

    expect(failure).toBeInstanceOf(assert.AssertionError)
    expect(PortError.is(failure)).toBe(false)
    expect(await thrownBy(() => mail.verify())).toMatchObject({ cause: failure })
  })

  test('that throws a PortError makes the service fail', async () => {
    const mail = mock(Mailer)
    mail.expect.send(any()).runs(() => {
      throw new PortError({ code: 'internal', message: 'out of paper' })
    })

    await expect(mail.port.send(message)).rejects.toMatchObject({ code: 'internal', detail: 'out of paper' })
    mail.verify()
  })

  test('lets through what a callback of the code under test throws', async () => {
    const db = mock(SqlDatabase)
    db.expect.transaction(any()).runs((work) => work(mock(SqlTransaction).port))
    const own = new Error('sold out')

    expect(await thrownBy(() => db.port.transaction(() => Promise.reject(own)))).toBe(own)
    db.verify()
  })
})

describe('at the end of a scope', () => {
  test('a mock is verified', async () => {
    const scope = (): void => {
      using mail = mock(Mailer)
      mail.expect.send(message).resolves(receipt)
    }
    const asyncScope = async (): Promise<void> => {
      await using mail = mock(Mailer)
      await mail.port.send(message).catch(() => {})
    }

    expect(scope).toThrow('an expected call did not come')
    await expect(asyncScope()).rejects.toThrow('unexpected call')
  })

  test('an error already thrown is kept beside it', async () => {
    const own = new Error('the test itself failed')
    const error = await thrownBy(() => {
      using mail = mock(Mailer)
      mail.expect.send(message).resolves(receipt)
      throw own
    })

    assert(error instanceof SuppressedError)
    expect(error.suppressed).toBe(own)
    expect(error.error).toBeInstanceOf(MockVerificationError)
  })

  test('what verify has thrown is not thrown over itself', async () => {
    const error = await thrownBy(() => {
      using mail = mock(Mailer)
      mail.expect.send(message).resolves(receipt)
      mail.verify()
    })

    expect(error).toBeInstanceOf(MockVerificationError)
  })

  test('a mock whose calls have all come is content', async () => {
    using mail = mock(Mailer)
    mail.expect.send(message).resolves(receipt)
    await mail.port.send(message)
  })
})
