/** `portside emulate` as a program of its own, asked over the wire as programs in any language would. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { s3 } from '../../adapters/s3/index.ts'
import { smtp } from '../../adapters/smtp/index.ts'
import { x } from '../../adapters/x/index.ts'
import { Mailer, ObjectStorage, SocialPublisher } from '../index.ts'
import { attach } from '../services/attach.ts'
import { defineServices, unbounded } from '../services/declare.ts'
import {
  emulate,
  folder,
  persisted,
  portside,
  post,
  s3Client,
  send,
  settled,
  stop,
  subjects,
} from './fixtures/emulating.ts'
import { run } from './run.ts'

describe('portside emulate', () => {
  test('prints what a declaration of the same services attaches by, without another word', async () => {
    const running = await emulate(['s3', 'smtp', 'x'])
    expect(running.out()).toMatch(/^(# [^\n]*\n|\w+=('[^'\n]*'|[\w:/.@+-]*)\n)+$/)
    const services = defineServices({
      s3: unbounded(ObjectStorage, { adapters: [s3], fake: () => import('../../fakes/object-storage.ts') }),
      smtp: unbounded(Mailer, { adapters: [smtp], fake: () => import('../../fakes/mailer.ts') }),
      x: unbounded(SocialPublisher, { adapters: [x], fake: () => import('../../fakes/social-publisher.ts') }),
    })
    await using app = await attach(services, { env: running.env, args: [] })
    await app.s3.put('tickets/1.txt', 'seat 7')
    await app.smtp.send({ from: 'a@example.org', to: ['b@example.org'], subject: 'Hi', text: '' })
    const { id } = await app.x.publish({ text: 'doors open' })
    expect(await running.control.service('s3').state()).toMatchObject({
      buckets: { development: { objects: [{ key: 'tickets/1.txt', size: 6 }] } },
    })
    expect(await subjects(running)).toEqual(['Hi'])
    expect(await running.control.service('x').state()).toMatchObject({ posts: [{ id, text: 'doors open' }] })
    await stop(running)
  })

  test('keeps its state over restarts, ended by SIGINT or SIGTERM', async () => {
    const args = ['smtp', 'x', '--persist', 'state']
    const first = await emulate(args)
    await send(first, 'one')
    expect((await post(first, 'doors open')).status).toBe(201)
    await first.control.service('smtp').seed({ refusals: [{ address: 'gone@example.org' }] })
    await stop(first, 'SIGINT')
    const second = await emulate(args)
    expect(second.out()).toContain('as it was left')
    expect(await subjects(second)).toEqual(['one'])
    expect(await second.control.service('smtp').state()).toMatchObject({
      refusals: [{ address: 'gone@example.org' }],
    })
    expect((await post(second, 'doors open')).status).toBe(403)
    await send(second, 'two')
    await stop(second, 'SIGTERM')
    expect(await subjects(await emulate(args))).toEqual(['one', 'two'])
  })

  test('loses no more than its last moments to SIGKILL', async () => {
    const args = ['smtp', '--persist', 'state']
    const first = await emulate(args)
    await send(first, 'one')
    await first.control.service('smtp').save('safe')
    const other = await emulate(['smtp'])
    // Written by itself, without being asked to stop.
    await expect.poll(() => persisted('smtp'), settled).toContain('one')
    await send(first, 'two')
    await expect.poll(() => persisted('smtp'), settled).toContain('two')
    first.child.kill('SIGKILL')
    await first.ended
    const second = await emulate(args)
    expect(await subjects(second)).toEqual(['one', 'two'])
    await second.control.service('smtp').load('safe')
    expect(await subjects(second)).toEqual(['one'])
    await stop(second)
    expect(await subjects(other)).toEqual([])
  })

  test('has faults, forced answers and the clock in the hands of its control API', async () => {
    const running = await emulate(['smtp', '--clock', 'virtual'])
    const { control } = running
    const mail = control.service('smtp')
    await mail.addFaults({ operation: 'send', error: 'unavailable' })
    await expect(send(running, 'one')).rejects.toMatchObject({ responseCode: 451 })
    await mail.force({ stage: 'mail', code: 450, text: '4.7.1 later' })
    await expect(send(running, 'one')).rejects.toMatchObject({ responseCode: 450 })
    const waiting = mail.journalAfter(1, 20_000)
    const at = await control.clock.advance(3_600_000)
    await send(running, 'one')
    expect((await waiting).entries).toMatchObject([{ operation: 'send', result: 'ok', at }])
    await mail.reset()
    expect(await subjects(running)).toEqual([])
    await stop(running)
  })

  test('is seeded from a file, whose wrong entry it names', async () => {
    writeFileSync(join(folder, 'poster.pdf'), 'poster')
    const mail = { from: 'a@example.org', to: ['b@example.org'], subject: 'seeded', text: '' }
    const seed = {
      s3: {
        objects: [
          { key: 'poster.pdf', body: { file: 'poster.pdf' }, contentType: 'application/pdf' },
          { bucket: 'others', key: 'note', body: 'text', metadata: { by: 'me' } },
        ],
      },
      smtp: { mails: [mail] },
      x: { posts: [{ text: 'doors open' }] },
    }
    writeFileSync(join(folder, 'seed.json'), JSON.stringify(seed))
    const running = await emulate(['s3', 'smtp', 'x', '--seed', 'seed.json'])
    expect(await subjects(running)).toEqual(['seeded'])
    const client = s3Client(running)
    const { Body, ContentType } = await client.send(
      new GetObjectCommand({ Bucket: 'development', Key: 'poster.pdf' }),
    )
    expect([await Body?.transformToString(), ContentType]).toEqual(['poster', 'application/pdf'])
    expect(await running.control.service('s3').state()).toMatchObject({
      buckets: { others: { objects: [{ key: 'note', metadata: { by: 'me' } }] } },
    })
    client.destroy()
    await stop(running)
    writeFileSync(
      join(folder, 'seed.json'),
      JSON.stringify({ smtp: { mails: [mail, { ...mail, to: ['nobody'] }] } }),
    )
    const refused = portside(['emulate', 'smtp', '--port', '0', '--seed', 'seed.json'])
    expect((await refused.ended).code).toBe(1)
    expect(refused.err()).toMatch(/seed\.json: smtp\.mails\[1\]: to\[0\]/)
  })

  test('emulates what a declaration has of someone else, and tells what it cannot', async () => {
    writeFileSync(
      join(folder, 'services.ts'),
      `import { unbounded, bounded, defineServices, Mailer, definePort } from '${new URL('../index.ts', import.meta.url).href}'
       import { smtp } from '${new URL('../../adapters/smtp/index.ts', import.meta.url).href}'
       const notes = definePort({ name: 'notes', operations: {} })
       const adapter = { name: 'notes', port: notes, schemes: ['notes'], example: 'notes://', parameters: {}, open: async () => {} }
       const fake = () => import('${new URL('../../fakes/mailer.ts', import.meta.url).href}')
       export const services = defineServices({
         newsLetters: unbounded(Mailer, { adapters: [smtp], fake }),
         bills: unbounded(Mailer, { adapters: [smtp], fake }),
         notes: unbounded(notes, { adapters: [adapter], fake: async () => ({}) }),
         mine: bounded(notes, { adapter, version: '1.0' }),
       })`,
    )
    const running = await emulate(['--persist', 'state'])
    expect(running.err()).toContain('notes: there is no emulator for the port "notes"')
    expect(Object.keys(running.env)).toEqual(['NEWS_LETTERS_URL', 'BILLS_URL', 'PORTSIDE_CONTROL_URL'])
    expect(new Set(Object.values(running.env)).size).toBe(3)
    expect(await running.control.services()).toMatchObject([{ service: 'newsLetters' }, { service: 'bills' }])
    await stop(running)
  })

  test('takes credentials of its own, and does not print them', async () => {
    const token = 'canary-token-of-mine'
    const running = await emulate(['x', 'smtp', 's3', '--user', 'ada', '--password', 'canary-password'], {
      PORTSIDE_EMULATE_TOKEN: token,
    })
    expect(running.out() + running.err()).not.toContain('canary')
    // What is still as usual is shown, so that it can be copied.
    expect(running.env.S3_URL).toContain('portside:portside-development@')
    const publish = (bearer: string): Promise<Response> =>
      post({ ...running, env: { ...running.env, X_BEARER_TOKEN: bearer } }, 'hi')
    expect([(await publish('portside-development-token')).status, (await publish(token)).status]).toEqual([
      401, 201,
    ])
    await expect(send(running, 'one')).rejects.toMatchObject({ responseCode: 530 })
    await stop(running)
  })
})

/** Within this process: nothing of it gets so far as to listen. */
async function refusal(args: readonly string[]): Promise<{ readonly code: number; readonly told: string }> {
  const told: string[] = []
  const tell = (line: string): void => void told.push(line)
  const code = await run(['emulate', ...args], { print: tell, tell })
  return { code, told: told.join('\n') }
}

describe('what portside emulate refuses', () => {
  test('a port that is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    for (const args of [
      ['smtp', '--port', String(port)],
      ['smtp', '--port', '0', '--control-port', String(port)],
    ]) {
      const refused = portside(['emulate', ...args, '--persist', 'state'])
      expect((await refused.ended).code).toBe(1)
      expect(refused.err()).toContain(`port ${port} cannot be listened on`)
      expect(refused.out()).toBe('')
    }
    server.close()
  })

  test('a folder that another command keeps its state in', async () => {
    const first = await emulate(['smtp', '--persist', 'state'])
    const second = portside(['emulate', 'smtp', '--port', '0', '--persist', 'state'])
    expect((await second.ended).code).toBe(1)
    expect(second.err()).toContain(`in use by process ${first.child.pid}`)
    await stop(first)
  })

  test.each<[readonly string[], RegExp]>([
    [['ftp'], /"ftp" cannot be emulated; there is s3, smtp, x/],
    [['x', 'x'], /named twice/],
    [['x', '--services', 'services.ts'], /not both/],
    [[], /no declaration of services/],
    [['x', '--port', '65536'], /--port takes a whole number/],
    [['x', '--port', 'smtp=25'], /--port names none of x/],
    [['x', 'smtp', '--port', '25'], /--port NAME=N/],
    [['x', '--control-port', 'here'], /--control-port takes a whole number/],
    [['x', '--clock', 'slow'], /--clock is system or virtual/],
    [['x', '--colour', 'red'], /--colour/],
    [['s3', 'x', '--user', 'ada', '--password', 'b'], /--user is of smtp, which is not emulated here/],
    [['smtp', '--bucket', 'tickets'], /--bucket is of s3/],
  ])('%j as wrong usage', async (args, message) => {
    expect(await refusal(args)).toEqual({ code: 2, told: expect.stringMatching(message) as string })
  })

  test.each<[readonly string[], RegExp]>([
    [['smtp', '--user', 'ada'], /a user and a password, or neither/],
    [['s3', '--access-key-id', 'ada'], /or neither/],
    [['s3', '--bucket', 'No'], /a bucket has a name of/],
    [['x', '--seed', 'none.json'], /none\.json cannot be read \(ENOENT\)/],
    [
      ['x', '--port', '0', '--host', '192.0.2.1'],
      /192\.0\.2\.1 cannot be listened on; .* this machine's own/,
    ],
    [
      ['smtp', '--port', '0', '--host', '192.0.2.1'],
      /192\.0\.2\.1 cannot be listened on; .* this machine's own/,
    ],
  ])('%j as impossible', async (args, message) => {
    expect(await refusal(args)).toEqual({ code: 1, told: expect.stringMatching(message) as string })
  })
})
