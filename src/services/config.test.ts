import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, describe, expect, test, vi } from 'vitest'
import type { Adapter, DatastoreAdapter } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { definePort, type Port } from '../port.ts'
import { type Config, type ConfigSources, readConfig } from './config.ts'
import { type AnyService, bounded, defineServices, unbounded } from './declare.ts'
import { isLoopback, type ServiceUrl, type UrlParameters } from './url.ts'

interface Clerk {
  note(text: string): Promise<void>
}
const Clerk: Port<Clerk> = definePort<Clerk>({
  name: 'clerk',
  operations: { note: { kind: 'call', effect: 'write', idempotent: false, arity: 1 } },
})

const parameters: UrlParameters = {
  token: { type: 'text', description: 'the key', secret: true },
  retries: { type: 'integer', description: 'how often', min: 0, max: 10 },
  tls: { type: 'boolean', description: 'whether to encrypt' },
  region: { type: 'choice', description: 'where', choices: ['eu', 'us'] },
}

const open = vi.fn(async () => expect.fail('configuration opens nothing'))
const validate = (url: ServiceUrl): readonly string[] =>
  url.path === 'bad' ? [`its path is bad, says ${url.password}`] : []
const web: Adapter<Clerk> = {
  name: 'web',
  port: Clerk,
  schemes: ['web', 'webs'],
  example: 'web://host/path',
  parameters,
  validate,
  open,
}
const store: DatastoreAdapter<Clerk> = {
  ...web,
  name: 'store',
  schemes: ['store'],
  example: 'store://host:1/name',
  engine: 'store',
  open: async () => expect.fail('configuration opens nothing'),
  server: () => expect.fail('configuration starts nothing'),
}
const neverLoaded = (): never => expect.fail('configuration loads no fake')

const services = defineServices({
  ticketOrders: bounded(Clerk, { adapter: store, version: '1.0' }),
  mail: unbounded(Clerk, { adapters: [web], fake: neverLoaded }),
})
const good = { TICKET_ORDERS_URL: 'store://db:7/orders', MAIL_URL: 'web://mail/' }

function read(sources: ConfigSources): Config {
  return readConfig(services, { env: {}, args: [], ...sources })
}

function urlOf(sources: ConfigSources, name: 'ticketOrders' | 'mail' = 'mail'): ServiceUrl {
  const config = read({ ...sources, env: { ...good, ...sources.env } }).services.get(name)
  if (config?.implementation !== 'real') expect.fail('it is not real')
  return config.url
}

/** The problems found, one a line, without the headline. */
function problems(sources: ConfigSources, over: Readonly<Record<string, AnyService>> = services): string[] {
  try {
    readConfig(over, { env: {}, args: [], ...sources })
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid-argument', outcome: 'not-applied' })
    if (!PortError.is(error)) throw error
    expect(Object.values(error.details)).toEqual(
      error.message
        .split('\n')
        .slice(1)
        .map((line) => line.slice(4)),
    )
    return Object.values(error.details)
  }
  return []
}

const directory = mkdtempSync(join(tmpdir(), 'portside-config-'))
afterAll(() => rmSync(directory, { recursive: true }))
function fileOf(text: string): string {
  const path = join(directory, `${Math.random()}`)
  writeFileSync(path, text)
  return path
}

describe('where a URL comes from', () => {
  test('a variable', () => expect(urlOf({ env: { MAIL_URL: ' web://here/ ' } }).host).toBe('here'))

  test.each<[string, string[]]>([
    ['--flag=value', ['--mail-url=web://flag/']],
    ['--flag value', ['--mail-url', 'web://flag/']],
    ['the last of several', ['--mail-url=web://first/', 'x', '--mail-url', 'web://flag/']],
  ])('a flag, which wins over the variable and the file: %s', (_, args) => {
    expect(urlOf({ args, env: { MAIL_URL: 'web://env/', MAIL_URL_FILE: '/nowhere' } }).host).toBe('flag')
  })

  test('no flag after --, and no flag that only begins alike', () => {
    const args = ['--mail-urls=web://x/', '--', '--mail-url=web://flag/']
    expect(urlOf({ args }).host).toBe('mail')
  })

  test.each([
    [['--mail-url']],
    [['--mail-url=']],
    [['--mail-url', '--verbose']],
    [['--mail-url', '--', 'x']],
  ])('a flag without a value is a problem, not the variable: %j', (args) => {
    expect(problems({ args, env: good })).toEqual(['--mail-url was given without a URL'])
  })

  test.each(['web://file/', '  web://file/\n', '\uFEFFweb://file/\r\n'])(
    'a file, without the space around it: %j',
    (text) => {
      expect(urlOf({ env: { MAIL_URL: '', MAIL_URL_FILE: fileOf(text) } }).host).toBe('file')
    },
  )

  test.each<[string, string, RegExp]>([
    ['empty', fileOf(' \n'), /MAIL_URL_FILE names a file that is empty/],
    ['of two lines', fileOf('web://a\nweb://b'), /MAIL_URL is not a URL/],
    ['absent', join(directory, 'absent'), /cannot be read \(ENOENT\)/],
    ['a directory', directory, /cannot be read \(EISDIR\)/],
    ['named with a NUL', 'a\0b', /cannot be read/],
  ])('a file that is %s is a problem', (_, path, expected) => {
    expect(problems({ env: { ...good, MAIL_URL: undefined, MAIL_URL_FILE: path } })).toEqual([
      expect.stringMatching(expected),
    ])
  })

  test('a variable and its file together are a problem', () => {
    const env = { ...good, MAIL_URL_FILE: fileOf('web://file/') }
    expect(problems({ env })).toEqual(['MAIL_URL and MAIL_URL_FILE are both set; keep one'])
  })

  test('process.env and process.argv where no other is given', () => {
    vi.stubEnv('MAIL_URL', 'web://from-process/')
    vi.stubEnv('TICKET_ORDERS_URL', good.TICKET_ORDERS_URL)
    const config = readConfig(services).services.get('mail')
    expect(config).toMatchObject({ url: { host: 'from-process' } })
    vi.unstubAllEnvs()
  })
})

describe('what stands in for a service', () => {
  const real = { bounded: 'store://db/', unbounded: 'web://mail/' }
  const texts = {
    real,
    fake: { bounded: 'fake:', unbounded: 'fake:' },
    none: { bounded: undefined, unbounded: '' },
  }

  test.each<['bounded' | 'unbounded', 'real' | 'fake', keyof typeof texts, string | RegExp]>([
    ['bounded', 'real', 'real', 'real'],
    ['bounded', 'real', 'fake', /TICKET_ORDERS_URL is a fake; "ticketOrders" is a datastore of your own/],
    [
      'bounded',
      'real',
      'none',
      /TICKET_ORDERS_URL is not set; expected store: such as store:\/\/host:1\/name \(flag: --ticket-orders-url\)/,
    ],
    ['bounded', 'fake', 'real', 'real'],
    ['bounded', 'fake', 'fake', /TICKET_ORDERS_URL is a fake; "ticketOrders" is a datastore of your own/],
    ['bounded', 'fake', 'none', /TICKET_ORDERS_URL is not set/],
    ['unbounded', 'real', 'real', 'real'],
    ['unbounded', 'real', 'fake', /MAIL_URL is a fake under PORTSIDE_EXTERNALS=real/],
    [
      'unbounded',
      'real',
      'none',
      /MAIL_URL is not set; expected web:, webs: such as web:\/\/host\/path \(flag: --mail-url\)/,
    ],
    ['unbounded', 'fake', 'real', /MAIL_URL is a real URL under PORTSIDE_EXTERNALS=fake/],
    ['unbounded', 'fake', 'fake', 'fake'],
    ['unbounded', 'fake', 'none', 'fake'],
  ])('a %s one, externals %s, its URL %s: %s', (boundary, externals, given, expected) => {
    const name = boundary === 'bounded' ? 'ticketOrders' : 'mail'
    const only = { [name]: services[name] }
    const variable = boundary === 'bounded' ? 'TICKET_ORDERS_URL' : 'MAIL_URL'
    const env = { PORTSIDE_EXTERNALS: externals, [variable]: texts[given][boundary] }
    if (typeof expected === 'string') {
      const config = readConfig(only, { env, args: [] })
      expect(config.services.get(name)?.implementation).toBe(expected)
    } else {
      expect(problems({ env }, only)).toEqual([expect.stringMatching(expected)])
    }
  })

  test.each([undefined, '', ' ', 'real'])('externals are real by default: %j', (value) => {
    expect(read({ env: { ...good, PORTSIDE_EXTERNALS: value } }).externals).toBe('real')
  })

  test('another word for the externals is a problem, and no reason for others', () => {
    const env = { TICKET_ORDERS_URL: good.TICKET_ORDERS_URL, PORTSIDE_EXTERNALS: 'fakes' }
    expect(problems({ env })).toEqual(['PORTSIDE_EXTERNALS must be "real" (the default) or "fake"'])
  })
})

describe('a bad URL', () => {
  test.each<[string, RegExp]>([
    ['mail', /MAIL_URL is not a URL/],
    ['web://a b/', /MAIL_URL is not a URL/],
    ['web://a\tb/', /MAIL_URL is not a URL/],
    ['http://mail/', /MAIL_URL is of no known scheme; expected web:, webs:/],
    ['web://mail/%E0%A4%A', /it is not a URL|MAIL_URL is not a URL/],
    ['web://mail/?colour=red', /its parameter no. 1 is unknown; known are token, retries, tls, region/],
    ['web://mail/?constructor=1', /its parameter no. 1 is unknown/],
    ['web://mail/?tls=true&__proto__=1', /its parameter no. 2 is unknown/],
    ['web://mail/?retries=1&retries=2', /its parameter "retries" stands there twice/],
    ['web://mail/?retries=11', /its parameter "retries" must be a whole number from 0 to 10/],
    ['web://mail/?retries=1e1', /must be a whole number/],
    ['web://mail/?tls=yes', /its parameter "tls" must be true or false/],
    ['web://mail/?region=moon', /its parameter "region" must be one of eu, us/],
    ['web://mail/?token=', /its parameter "token" is empty/],
    ['web://mail/#part', /it has a fragment \(#\)/],
    ['web://user:12/34@mail', /it has an "@" after the port; percent-encode/],
    ['web://user:hunter22@mail/bad', /its path is bad, says \*\*\*; expected/],
  ])('%s is a problem', (text, expected) => {
    expect(problems({ env: { ...good, MAIL_URL: text } })).toEqual([expect.stringMatching(expected)])
  })

  test('does not hide the problems of the others: all are told at once, nothing is opened', () => {
    const env = { PORTSIDE_EXTERNALS: 'real', MAIL_URL: 'web://mail/?a=1&tls=2' }
    const found = problems({ env })
    expect(found).toHaveLength(3)
    expect(open).not.toHaveBeenCalled()
  })
})

describe('a good URL', () => {
  test('is taken apart, decoded', () => {
    const url = urlOf({
      env: { MAIL_URL: 'WEB://a%40b:p%3A%2F%23@Host:25/in%20box?token=t%20k&retries=3&tls=true&region=eu' },
    })
    expect(url).toMatchObject({ scheme: 'web', username: 'a@b', password: 'p:/#', port: 25, path: 'in box' })
    expect([url.text('token'), url.integer('retries'), url.boolean('tls'), url.text('region')]).toEqual([
      't k',
      3,
      true,
      'eu',
    ])
    expect([url.text('x'), url.integer('token'), url.boolean('retries')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(url.secrets).toEqual(expect.arrayContaining(['p:/#', 't k']))
  })

  test('may name an IPv6 host, an address in a parameter, and nothing else', () => {
    const ipv6 = urlOf({ env: { MAIL_URL: 'web://[2001:db8::1]:25' } })
    expect([ipv6.host, ipv6.port, `${ipv6}`]).toEqual(['2001:db8::1', 25, 'web://[2001:db8::1]:25'])
    expect(urlOf({ env: { MAIL_URL: 'web://mail?token=shop@example.com' } }).text('token')).toBe(
      'shop@example.com',
    )
    expect(urlOf({ env: { MAIL_URL: 'web:' } })).toMatchObject({ host: '', path: '', username: undefined })
  })
})

test.each([
  ['localhost', true],
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['[::1]', true],
  ['127.0.0.1.example', false],
  ['127.example', false],
  ['127.0.0.999', false],
  ['localhost.example', false],
  ['10.0.0.1', false],
  ['', false],
])('isLoopback of "%s" is %s', (host, expected) => expect(isLoopback(host)).toBe(expected))

describe('a secret', () => {
  const canary = fc.stringMatching(/^[A-Za-z0-9?#/@:%&=+ ]{0,8}$/).map((odd) => `canary${odd}canary`)
  const shapes: readonly ((secret: string) => string)[] = [
    (secret) => `web://user:${encodeURIComponent(secret)}@mail/?a=1`,
    (secret) => `web://user:${secret}@mail/?tls=perhaps`,
    (secret) => `web://user:12${secret}@mail/`,
    (secret) => `web://${secret}`.replace('//canary', '//user:canary'),
    (secret) => `web://mail/?token=${encodeURIComponent(secret)}&tls=perhaps`,
    (secret) => `web://mail/?retries=${secret}`,
    (secret) => `${secret}://user:${secret}@mail`,
    (secret) => `web://user:${encodeURIComponent(secret)}@mail/bad`,
    (secret) => `nonsense ${secret}`,
  ]

  test('shows in no message about a URL that is refused, whatever it was read as', () => {
    fc.assert(
      fc.property(
        canary,
        fc.constantFrom(...shapes),
        fc.constantFrom('real', 'fake', 'other'),
        (secret, shape, externals) => {
          const text = shape(secret)
          for (const env of [
            { MAIL_URL: text, TICKET_ORDERS_URL: text },
            { MAIL_URL_FILE: text, TICKET_ORDERS_URL_FILE: fileOf(text) },
          ]) {
            const failed = (() => {
              try {
                return read({ env: { ...env, PORTSIDE_EXTERNALS: externals } })
              } catch (error) {
                return error
              }
            })()
            expect(`${inspect(failed, { depth: 9 })}${JSON.stringify(failed)}`).not.toContain('canary')
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('is not printed with the URL that holds it', () => {
    const url = urlOf({ env: { MAIL_URL: 'web://user:canary@mail:1/path?token=canary' } })
    const shown = `${inspect(url, { depth: 9, showHidden: true })}${JSON.stringify({ url })}${url}`
    expect(shown).not.toContain('canary')
    expect(`${url}`).toBe('web://mail:1/path')
  })

  test('of every URL is handed on for redaction', () => {
    const env = { TICKET_ORDERS_URL: 'store://u:one@db/', MAIL_URL: 'web://mail/?token=two' }
    expect(read({ env }).secrets).toEqual(expect.arrayContaining(['one', 'two']))
  })
})

test("no code reads NODE_ENV: the environment's name decides nothing", async () => {
  const root = new URL('../', import.meta.url)
  const files = (await readdir(root, { recursive: true })).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  )
  expect(files.length).toBeGreaterThan(20)
  for (const file of files)
    expect(await readFile(new URL(file, root), 'utf8'), file).not.toContain('NODE_ENV')
})
