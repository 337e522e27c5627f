/** The control API, its client and its description, on emulators that run in this process. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { routes } from './control/routes.ts'
import { checkSchema, type Schema } from './control/schema.ts'
import { type ControlClient, controlClient } from './control-client.ts'
import { type EmulateOptions, type RunningEmulators, startEmulators } from './emulation.ts'

let folder: string
const started: RunningEmulators[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portside-control-'))
})
afterEach(async () => {
  for (const running of started.splice(0)) await running.close()
  await rm(folder, { recursive: true })
})

interface Subject {
  readonly running: RunningEmulators
  readonly control: ControlClient
  readonly origin: string
  send(subject: string, to?: string): Promise<unknown>
  post(text: string): Promise<Response>
}

async function start(options: Partial<EmulateOptions> = {}): Promise<Subject> {
  const running = await startEmulators({
    services: [
      { service: 'mail', protocol: 'smtp', port: 0 },
      { service: 'news', protocol: 'x', port: 0 },
    ],
    persist: join(folder, 'state'),
    ...options,
  })
  started.push(running)
  const [mail, news] = running.services
  const transport = createTransport({ host: '127.0.0.1', port: mail?.port ?? 0, ignoreTLS: true })
  return {
    running,
    control: controlClient(running.controlUrl),
    origin: running.controlUrl,
    send: (subject, to = 'ada@example.org') =>
      transport.sendMail({ from: 'shop@example.org', to, subject, text: 'Hello' }),
    post: (text) =>
      fetch(`${news?.url}/2/tweets`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: 'Bearer portside-development-token',
        },
        body: JSON.stringify({ text }),
      }),
  }
}

interface Outbox {
  readonly outbox: readonly { readonly message: { readonly subject: string } }[]
}

async function subjects(control: ControlClient): Promise<readonly string[]> {
  const { outbox } = await control.service('mail').state<Outbox>()
  return outbox.map(({ message }) => message.subject)
}

describe('the control API', () => {
  test('shows what the services hold, and what was asked of them', async () => {
    const { control, send, post } = await start()
    await send('one')
    expect((await post('doors open')).status).toBe(201)
    expect(await subjects(control)).toEqual(['one'])
    expect(await control.service('news').state()).toMatchObject({ posts: [{ text: 'doors open' }] })
    const { entries, last } = await control.service('mail').journal()
    expect(entries).toMatchObject([
      { sequence: 1, operation: 'send', subject: 'ada@example.org', result: 'ok' },
    ])
    expect(entries[0]?.at).toBeInstanceOf(Date)
    expect(entries[0]?.effects).toHaveLength(1)
    expect(last).toBe(1)
    expect(await control.health()).toMatchObject({
      status: 'ok',
      pid: process.pid,
      persistent: true,
      services: ['mail', 'news'],
    })
    expect((await control.services()).map(({ service, protocol }) => [service, protocol])).toEqual([
      ['mail', 'smtp'],
      ['news', 'x'],
    ])
  })

  test('has faults hit the next call, lists them and ends them', async () => {
    const { control, post } = await start()
    const news = control.service('news')
    await news.addFaults(
      { operation: 'publish', error: 'unavailable' },
      { operation: '*', error: 'permission-denied', times: 'always' },
    )
    expect((await post('one')).status).toBe(503)
    expect((await post('one')).status).toBe(403)
    expect(await news.faults()).toEqual([
      { operation: '*', error: 'permission-denied', times: 'always', left: 'always' },
    ])
    await news.clearFaults()
    expect((await post('one')).status).toBe(201)
    await expect(
      news.addFaults({ operation: 'get', error: 'timeout' }, { operation: 'got', error: 'timeout' }),
    ).rejects.toMatchObject({ code: 'invalid-argument', message: expect.stringContaining('"got"') as string })
    expect(await news.faults()).toEqual([])
  })

  test('forces exact answers in the terms of each protocol: all or none', async () => {
    const { control, send, post } = await start()
    const [mail, news] = [control.service('mail'), control.service('news')]
    await mail.force({ stage: 'rcpt', code: 452, text: '4.2.2 mailbox full' })
    await expect(send('one')).rejects.toMatchObject({ responseCode: 452 })
    await send('one')
    await news.force({ status: 418, body: 'short and stout', headers: { 'x-tea': 'yes' } })
    const answer = await post('one')
    expect([answer.status, answer.headers.get('x-tea'), await answer.text()]).toEqual([
      418,
      'yes',
      'short and stout',
    ])
    await mail.force({ stage: 'quit', code: 421, times: 3 })
    await expect(mail.force({ stage: 'mail', code: 450 }, { stage: 'nowhere', code: 450 })).rejects.toThrow(
      /stage/,
    )
    expect(await mail.forced()).toEqual([{ stage: 'quit', code: 421, times: 3, left: 3 }])
    await mail.clearForced()
    expect(await mail.forced()).toEqual([])
    await news.force({ drop: true })
    await news.clearForced()
    expect((await post('two')).status).toBe(201)
  })

  test('lets one wait for the journal, and tells each entry once', async () => {
    const { control, send } = await start()
    const mail = control.service('mail')
    expect(await mail.journalAfter(0)).toEqual({ entries: [], last: 0 })
    const waiting = mail.journalAfter(0, 30_000)
    await send('one')
    const { entries, last } = await waiting
    expect([entries.length, last]).toEqual([1, 1])
    await send('two')
    await send('three')
    const next = await mail.journalAfter(last, 30_000)
    expect(next.entries.map(({ sequence }) => sequence)).toEqual([2, 3])
    expect(await mail.journalAfter(next.last, 20)).toEqual({ entries: [], last: 3 })
    await mail.clearJournal()
    await send('four')
    expect(await mail.journalAfter(3)).toMatchObject({ entries: [{ sequence: 4 }], last: 4 })
  })

  test('shows whoever follows the journal all entries, also across resets', async () => {
    const { control, send } = await start()
    const mail = control.service('mail')
    await send('one')
    const waiting = mail.journalAfter(1, 30_000)
    await mail.reset()
    await send('two')
    expect(await waiting).toMatchObject({ entries: [{ sequence: 2 }], last: 2 })
  })

  test('resets one service alone', async () => {
    const { control, send, post } = await start()
    const mail = control.service('mail')
    await send('one')
    await post('doors open')
    await mail.addFaults({ operation: 'send', error: 'unavailable' })
    await mail.force({ stage: 'connect', code: 421 })
    await mail.reset()
    expect(await subjects(control)).toEqual([])
    expect([await mail.faults(), await mail.forced()]).toEqual([[], []])
    expect((await mail.journal()).entries).toEqual([])
    expect(await control.service('news').state()).toMatchObject({ posts: [{ text: 'doors open' }] })
  })

  test('seeds as port commands would, names the entry that it refuses, and then puts nothing there', async () => {
    const { control } = await start()
    const mail = control.service('mail')
    const message = { from: 'a@example.org', to: ['b@example.org'], subject: 'seeded', text: '' }
    const seeded = await mail.seed({
      mails: [{ ...message, attachments: [{ filename: 'a.bin', content: { base64: 'AP8=' } }] }],
      refusals: [{ address: 'gone@example.org' }],
    })
    expect(seeded).toBe(2)
    expect(await mail.state()).toMatchObject({
      outbox: [{ message: { subject: 'seeded', attachments: [{ filename: 'a.bin', base64: 'AP8=' }] } }],
      refusals: [{ address: 'gone@example.org', reason: 'no such user here', retryable: false }],
    })
    const refused = async (seed: object): Promise<string> =>
      mail.seed(seed).then(
        () => 'taken',
        (error: Error) => error.message,
      )
    expect(await refused({ mails: [message, { ...message, to: ['nobody'] }] })).toMatch(/mails\[1\].*to\[0\]/)
    expect(await refused({ mails: [message, { ...message, too: [] }] })).toMatch(/mails\[1\] has no "too"/)
    expect(await refused({ mails: [message], refusals: [{ address: 'a@b', reason: 'two\nlines' }] })).toMatch(
      /refusals\[0\].*one line/,
    )
    expect(
      await refused({
        mails: [{ ...message, attachments: [{ filename: 'x', content: { file: '/etc/passwd' } }] }],
      }),
    ).toMatch(/only a seed file may/)
    expect(await subjects(control)).toEqual(['seeded'])
    await expect(control.service('news').seed({ posts: [{ text: 'fine' }, { text: '' }] })).rejects.toThrow(
      /posts\[1\]/,
    )
    expect(await control.service('news').state()).toMatchObject({ posts: [] })
  })

  test('saves and loads a service under names', async () => {
    const { control, send } = await start()
    const mail = control.service('mail')
    await send('one')
    await mail.save('before-the-sale')
    await send('two')
    await mail.save('after')
    await mail.load('before-the-sale')
    expect(await subjects(control)).toEqual(['one'])
    expect(await mail.snapshots()).toEqual(['after', 'before-the-sale'])
    await mail.deleteSnapshot('after')
    await mail.deleteSnapshot('after')
    expect(await mail.snapshots()).toEqual(['before-the-sale'])
    await expect(mail.load('after')).rejects.toMatchObject({ code: 'not-found' })
    for (const name of ['', '..', 'a/b', 'A', '-a', 'a'.repeat(65)])
      await expect(mail.save(name)).rejects.toMatchObject({ code: 'invalid-argument' })
    await expect(mail.deleteSnapshot('../mail')).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(await readdir(join(folder, 'state', 'snapshots'))).toEqual(['mail'])
  })

  test('saves nothing without a folder to save to', async () => {
    const { persist: _, ...options } = { persist: undefined }
    const running = await startEmulators({
      services: [{ service: 'mail', protocol: 'smtp', port: 0 }],
      ...options,
    })
    started.push(running)
    await expect(controlClient(running.controlUrl).service('mail').save('a')).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('--persist') as string,
    })
  })

  test('moves a virtual clock, for which what is slow waits', async () => {
    const { control, send } = await start({ clock: 'virtual' })
    const mail = control.service('mail')
    const before = await control.clock.now()
    await mail.addFaults({ operation: 'send', latencyMs: 3_600_000 })
    const sending = send('slow')
    await expect
      .poll(async () => (await mail.journal()).entries.map(({ result }) => result))
      .toEqual(['pending'])
    await expect(mail.journalAfter(0)).resolves.toEqual({ entries: [], last: 0 })
    expect(await control.clock.now()).toEqual(before)
    await control.clock.advance(3_600_000)
    await sending
    const later = new Date(before.getTime() + 7_200_000)
    expect(await control.clock.set(later)).toEqual(later)
    await expect(control.clock.set(before)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(await mail.state()).toMatchObject({
      outbox: [{ at: new Date(before.getTime() + 3_600_000).toISOString() }],
    })
  })

  test("cannot move the machine's clock", async () => {
    const { control } = await start()
    expect(Math.abs((await control.clock.now()).getTime() - Date.now())).toBeLessThan(60_000)
    await expect(control.clock.advance(1)).rejects.toMatchObject({ code: 'unsupported' })
  })

  test('tells of a service that it does not have, and of a port where it is not', async () => {
    const { control, running } = await start()
    await expect(control.service('letters').state()).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('mail, news') as string,
    })
    await running.close()
    await expect(control.health()).rejects.toMatchObject({ code: 'unavailable' })
    expect(() => controlClient('ftp://127.0.0.1')).toThrow(/http URL/)
  })
})

describe('its description', () => {
  test('is OpenAPI of the very table that is answered by, and answers are as it says', async () => {
    const { origin, send } = await start()
    await send('one')
    const description = (await (await fetch(origin)).json()) as {
      openapi: string
      servers: unknown
      paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>
    }
    expect(description.openapi).toBe('3.1.0')
    expect(description.servers).toEqual([{ url: origin }])
    const described = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => [operationId, method.toUpperCase(), path]),
    )
    expect(described.toSorted()).toEqual(routes.map(({ id, method, path }) => [id, method, path]).toSorted())
    expect(new Set(described.map(([id]) => id)).size).toBe(routes.length)
    const bodies: Readonly<Record<string, object>> = {
      advanceClock: { ms: 1 },
      setClock: { now: '2100-01-01T00:00:00Z' },
      addFaults: { rules: [{ operation: 'send', error: 'rejected', reason: 'spam', times: 2 }] },
      force: { rules: [{ stage: 'quit', code: 421 }] },
      seed: { maxBytes: 1_000 },
      save: { name: 'a' },
      load: { name: 'a' },
    }
    // The clock is the machine's here.
    const refused = ['advanceClock', 'setClock']
    const inOrder = routes.toSorted((a, b) => rank(a.method) - rank(b.method))
    for (const { id, method, path, answer } of inOrder) {
      const url = origin + path.replace('{service}', 'mail').replace('{name}', 'a')
      const body = bodies[id]
      const response = await fetch(url, {
        method,
        ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      })
      const expected = refused.includes(id) ? 409 : answer === undefined ? 204 : 200
      expect([id, response.status]).toEqual([id, expected])
      if (expected === 200) checkSchema(id, await response.json(), answer as Schema)
    }
  })
})

function rank(method: string): number {
  return ['POST', 'GET', 'DELETE'].indexOf(method)
}

interface RawAnswer {
  readonly status: number
  readonly problem: { readonly status: number; readonly code: string; readonly detail: string }
  readonly headers: Readonly<Record<string, unknown>>
}

/** With headers that fetch would not send. */
function raw(
  url: string,
  {
    method = 'GET',
    headers = {},
    body = '',
  }: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers }, async (response) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of response as AsyncIterable<Uint8Array>) chunks.push(chunk)
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        problem: JSON.parse(Buffer.concat(chunks).toString()) as RawAnswer['problem'],
      })
    })
    request.once('error', reject)
    request.end(body)
  })
}

describe('what is refused', () => {
  const json = { 'content-type': 'application/json' }

  test.each<[string, Record<string, string>, number]>([
    ['another host, as a rebound name has', { host: 'evil.example' }, 403],
    ['another port', { host: '127.0.0.1:1' }, 403],
    ['the origin of a page', { origin: 'https://evil.example' }, 403],
    ['an opaque origin', { origin: 'null' }, 403],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['text, as a page may send anywhere', { 'content-type': 'text/plain' }, 415],
  ])('%s', async (_, headers, status) => {
    const { origin, control } = await start()
    await control.service('mail').seed({ maxBytes: 7 })
    const answer = await raw(`${origin}/services/mail/seed`, {
      method: 'POST',
      headers: { ...json, ...headers },
      body: '{"maxBytes":9}',
    })
    expect([answer.status, answer.problem.status]).toEqual([status, status])
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    expect(await control.service('mail').state()).toMatchObject({ maxBytes: 7 })
  })

  test('the preflight of a page', async () => {
    const { origin } = await start()
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'DELETE' }
    const answer = await raw(`${origin}/services/mail/journal`, { method: 'OPTIONS', headers })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([403, undefined])
  })

  test.each<[string, string, string, string, number, RegExp]>([
    ['an unknown path', 'GET', '/nowhere', '', 404, /GET \//],
    ['a path that a browser would take for a host', 'GET', '//health', '', 404, /GET \//],
    ['a path that cannot be decoded', 'GET', '/services/%ff/state', '', 404, /GET \//],
    ['another method', 'DELETE', '/health', '', 405, /GET/],
    ['an unknown parameter', 'GET', '/services/mail/journal?since=1', '', 400, /after, waitMs/],
    ['a parameter twice', 'GET', '/services/mail/journal?after=1&after=2', '', 400, /twice/],
    ['a parameter that is no number', 'GET', '/services/mail/journal?after=-1', '', 400, /after/],
    ['waiting too long', 'GET', '/services/mail/journal?after=1&waitMs=60001', '', 400, /60000/],
    ['waiting for nothing', 'GET', '/services/mail/journal?waitMs=1', '', 400, /needs after/],
    ['no JSON', 'POST', '/services/mail/faults', '{', 400, /no JSON/],
    ['an unknown field', 'POST', '/services/mail/faults', '{"rules":[],"x":1}', 400, /"rules"/],
    [
      'an unknown field within',
      'POST',
      '/services/mail/faults',
      '{"rules":[{"operation":"send","x":1}]}',
      400,
      /rules\[0\]/,
    ],
    ['a missing field', 'POST', '/services/mail/save', '{}', 400, /no name/],
    ['null', 'POST', '/services/mail/seed', 'null', 400, /body/],
    ['a body where none belongs', 'POST', '/services/mail/reset', '{}', 415, /no body/],
  ])('%s', async (_, method, path, body, status, message) => {
    const { origin } = await start()
    const answer = await raw(origin + path, { method, body, headers: body === '' ? {} : json })
    expect([answer.status, answer.problem.status]).toEqual([status, status])
    expect(answer.problem.detail).toMatch(message)
    if (status === 405) expect(answer.headers.allow).toBe('GET')
  })
})

describe('the folder of states', () => {
  test('is of one process at a time', async () => {
    await start()
    await expect(start()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(`${process.pid}`) as string,
    })
  })

  test('with other things in it is refused and left alone', async () => {
    await writeFile(join(folder, 'thesis.txt'), 'mine')
    await expect(start({ persist: folder })).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(await readdir(folder)).toEqual(['thesis.txt'])
  })

  test.each(['portside-emulate.json', 'state/mail/state.json'])(
    'whose %s was changed is refused, and not taken',
    async (file) => {
      const { running, send } = await start()
      await send('one')
      expect(await running.close()).toBe(true)
      const path = join(folder, 'state', file)
      await writeFile(path, '{"version":1}')
      for (let attempt = 0; attempt < 2; attempt += 1)
        await expect(start()).rejects.toMatchObject({
          code: 'corrupt',
          message: expect.stringContaining(path) as string,
        })
    },
  )

  test('that cannot be written to is told once, tried again, and then holds all', async () => {
    const told: string[] = []
    const first = await start({ onProgress: (line) => told.push(line) })
    const inTheWay = join(folder, 'state', 'state')
    await writeFile(inTheWay, '')
    await first.send('one')
    await expect
      .poll(() => told)
      .toEqual([expect.stringMatching(/mail: its state cannot be written \(E\w+\)/)])
    await first.send('two')
    await rm(inTheWay)
    await first.send('three')
    await expect.poll(() => told.at(-1)).toMatch(/mail: its state is written again/)
    expect(told).toHaveLength(2)
    await first.running.close()
    const second = await start()
    expect(await subjects(second.control)).toEqual(['one', 'two', 'three'])
    await rm(inTheWay, { recursive: true })
    await writeFile(inTheWay, '')
    expect(await second.running.close()).toBe(false)
  })

  test('holds what changed, seeds included, and is not seeded again', async () => {
    const seedFile = join(folder, 'seed.json')
    await writeFile(join(folder, 'ticket.pdf'), Uint8Array.of(1, 2, 3))
    const mail = {
      from: 'a@example.org',
      to: ['b@example.org'],
      subject: 'seeded',
      text: '',
      attachments: [{ filename: 't.pdf', content: { file: 'ticket.pdf' } }],
    }
    await writeFile(seedFile, JSON.stringify({ mail: { mails: [mail] } }))
    const first = await start({ seedFile })
    expect(await first.control.service('mail').state()).toMatchObject({
      outbox: [{ message: { attachments: [{ base64: 'AQID' }] } }],
    })
    await first.send('sent')
    await first.running.close()
    const told: string[] = []
    const second = await start({ seedFile, onProgress: (line) => told.push(line) })
    expect(await subjects(second.control)).toEqual(['seeded', 'sent'])
    expect(second.running.services.map(({ restored }) => restored)).toEqual([true, true])
    expect(told).toEqual([expect.stringContaining('not seeded')])
  })

  test.each<[string, unknown, RegExp]>([
    ['of an unknown service', { letters: {} }, /"mail"/],
    ['with a wrong entry', { mail: { mails: [{}] } }, /mail\.mails\[0\] has no from/],
    [
      'with a file that is not there',
      {
        mail: {
          mails: [
            {
              from: 'a@b',
              to: ['a@b'],
              subject: '',
              text: '',
              attachments: [{ filename: 'a', content: { file: 'none' } }],
            },
          ],
        },
      },
      /attachments\[0\]\.content.*none.*ENOENT/,
    ],
    ['that is no object', [], /seed/],
  ])('refuses a seed %s, by the name of its file', async (_, seed, message) => {
    const seedFile = join(folder, 'seed.json')
    await writeFile(seedFile, JSON.stringify(seed))
    const refused = start({ seedFile })
    await expect(refused).rejects.toThrow(message)
    await expect(refused).rejects.toThrow('seed.json')
    // Nothing is left that would be in the way.
    await start()
  })
})

test('emulators of which one finds its port taken leave none', async () => {
  const { running } = await start()
  const taken = running.services[1]?.port ?? 0
  const services = [
    { service: 'mail', protocol: 'smtp', port: 0 },
    { service: 'news', protocol: 'x', port: taken },
  ] as const
  const persist = join(folder, 'other')
  await expect(start({ services, persist })).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining(`port ${taken}`) as string,
  })
  await start({ persist })
})
