/**
 * Each way out, on addresses and names that are reserved for documentation: were the guard broken, these tests
 * would fail and still reach nobody.
 */

import dgram from 'node:dgram'
import dns, { lookup as importedLookup } from 'node:dns'
import dnsPromises, { resolve4 as importedResolve4 } from 'node:dns/promises'
import { type EventEmitter, once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http, { get as importedGet } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net, { type AddressInfo, connect as importedConnect, type LookupFunction } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { inspect, promisify } from 'node:util'
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { Redis } from 'ioredis'
import nodemailer from 'nodemailer'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { PortError } from '../errors.ts'
import { type EgressGuard, type EgressRoute, installEgressGuard } from './egress.ts'

const outside = '192.0.2.1'
const outside6 = '2001:db8::1'
const name = 'api.invalid'

let guard: EgressGuard
beforeEach(() => {
  guard = installEgressGuard()
})
afterEach(() => guard.uninstall())

/** How something fails that was not let out: the error itself, or the first of its causes that is a `PortError`. */
async function refusal(attempt: PromiseLike<unknown> | (() => unknown)): Promise<PortError> {
  let error: unknown
  try {
    await (typeof attempt === 'function' ? attempt() : attempt)
  } catch (thrown) {
    error = thrown
  }
  while (error instanceof Error && !PortError.is(error)) error = error.cause
  if (!PortError.is(error)) throw new Error('was not refused')
  return error
}

const failureOf = async (emitter: EventEmitter): Promise<never> => {
  const [error] = await once(emitter, 'error')
  throw error
}

/** A datagram or a socket that the test leaves behind is closed. */
function closing<T extends { close(): unknown }>(resource: T): T {
  onTestFinished(() => {
    try {
      resource.close()
    } catch {
      // It is closed already.
    }
  })
  return resource
}

const untouched = net.Socket.prototype.connect

const agentWith = (options: object): http.Agent => {
  const agent = new http.Agent(options)
  onTestFinished(() => agent.destroy())
  return agent
}

async function serve(
  handler: http.RequestListener = (_request, response) => response.end('here'),
): Promise<number> {
  const server = http.createServer(handler).listen(0, '127.0.0.1')
  onTestFinished(() => server.closeAllConnections())
  closing(server)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const datagram = (type: 'udp4' | 'udp6' = 'udp4'): dgram.Socket => closing(dgram.createSocket(type))

const lookupTo =
  (address: string): LookupFunction =>
  (_name, options, callback) =>
    options.all ? callback(null, [{ address, family: 4 }]) : callback(null, address, 4)

type Attempt = () => unknown
type Row = readonly [
  title: string,
  route: EgressRoute,
  host: string,
  port: number | undefined,
  attempt: Attempt,
]

const agentless = { agent: false } as const

const routes: readonly Row[] = [
  ['fetch of an address', 'fetch', outside, 80, () => fetch(`http://${outside}/`)],
  ['fetch of a name', 'fetch', name, 443, () => fetch(`https://${name}/`)],
  ['fetch of an IPv6 address', 'fetch', outside6, 8080, () => fetch(`http://[${outside6}]:8080/`)],
  ['fetch of a .json path', 'fetch', name, 80, () => fetch(`http://${name}/data.json`)],
  ['fetch of a .png path', 'fetch', name, 80, () => fetch(`http://${name}/pixel.png`)],
  ['fetch of a .pdf path', 'fetch', name, 80, () => fetch(`http://${name}/receipt.pdf`)],
  ['fetch of an address as one number', 'fetch', outside, 80, () => fetch('http://3221225985/')],
  ['fetch of an address in hexadecimal', 'fetch', outside, 80, () => fetch('http://0xc0.0.0x2.1/')],
  ['fetch of a wildcard address', 'fetch', '0.0.0.0', 8080, () => fetch('http://0.0.0.0:8080/')],
  ['undici’s request', 'undici', name, 443, () => dispatcher().request(asked(`https://${name}`))],
  [
    'undici’s request of an address',
    'undici',
    outside,
    80,
    () => dispatcher().request(asked(`http://${outside}`)),
  ],
  ['WebSocket', 'websocket', name, 443, () => webSocket(`wss://${name}/`)],
  ['http.request', 'http', name, 80, () => failureOf(http.request(`http://${name}/`).end())],
  ['http.get of options', 'http', outside, 81, () => failureOf(http.get({ host: outside, port: 81 }))],
  ['http.get imported by name', 'http', name, 80, () => failureOf(importedGet(`http://${name}/a.json`))],
  ['http.get without an agent', 'http', name, 80, () => failureOf(http.get({ host: name, ...agentless }))],
  [
    'http.get through an agent that keeps connections',
    'http',
    name,
    80,
    () => failureOf(http.get({ host: name, agent: agentWith({ keepAlive: true }) })),
  ],
  [
    'http.get with a lookup to the outside',
    'http',
    outside,
    80,
    () => failureOf(http.get({ host: name, lookup: lookupTo(outside), ...agentless })),
  ],
  [
    'http.get of localhost with a lookup to the outside',
    'http',
    outside,
    80,
    () => failureOf(http.get({ host: 'localhost', agent: agentWith({ lookup: lookupTo(outside) }) })),
  ],
  [
    'http.get with a connection of its own',
    'http',
    outside,
    7,
    () => failureOf(http.get({ host: 'localhost', createConnection: () => net.connect(7, outside) })),
  ],
  ['https.request', 'https', name, 443, () => failureOf(https.request(`https://${name}/x.pdf`).end())],
  ['https.get of options', 'https', outside, 444, () => failureOf(https.get({ host: outside, port: 444 }))],
  ['http2.connect', 'http2', name, 443, () => failureOf(http2.connect(`https://${name}`))],
  ['net.connect by port and host', 'net', outside, 25, () => failureOf(net.connect(25, outside))],
  ['net.connect by options', 'net', name, 25, () => failureOf(net.connect({ host: name, port: 25 }))],
  ['net.connect imported by name', 'net', name, 25, () => failureOf(importedConnect(25, name))],
  [
    'a port given as text',
    'net',
    name,
    25,
    () => failureOf(net.connect({ host: name, port: '25' as never })),
  ],
  ['Socket.connect', 'net', outside6, 25, () => failureOf(new net.Socket().connect(25, outside6))],
  ['Socket.connect again', 'net', name, 25, () => reconnect()],
  [
    'a host that is inherited',
    'net',
    name,
    25,
    () => failureOf(net.connect(Object.create({ host: name, port: 25 }))),
  ],
  [
    'options that are frozen',
    'net',
    name,
    25,
    () => failureOf(net.connect(Object.freeze({ host: name, port: 25 }))),
  ],
  [
    'an address that only the system reads',
    'net',
    '2130706433',
    1,
    () => failureOf(net.connect(1, '2130706433')),
  ],
  [
    'a mapped IPv4 address',
    'net',
    `::ffff:${outside}`,
    1,
    () => failureOf(net.connect(1, `::ffff:${outside}`)),
  ],
  ['the limited broadcast', 'net', '255.255.255.255', 1, () => failureOf(net.connect(1, '255.255.255.255'))],
  ['a name under localhost', 'net', 'x.localhost', 1, () => failureOf(net.connect(1, 'x.localhost'))],
  [
    'a name that looks like loopback',
    'net',
    '127.0.0.1.invalid',
    1,
    () => failureOf(net.connect(1, '127.0.0.1.invalid')),
  ],
  ['tls.connect', 'tls', name, 443, () => failureOf(tls.connect({ host: name, port: 443 }))],
  ['tls.connect by port and host', 'tls', outside, 465, () => failureOf(tls.connect(465, outside))],
  [
    'a client that names the system’s own lookup',
    'net',
    name,
    443,
    () => failureOf(net.connect({ host: name, port: 443, lookup: dns.lookup })),
  ],
  ['dgram send', 'dgram', outside, 53, () => sent(datagram(), 53, outside)],
  ['dgram send over IPv6', 'dgram', outside6, 53, () => sent(datagram('udp6'), 53, outside6)],
  ['dgram send to a name', 'dgram', name, 53, () => sent(datagram(), 53, name)],
  ['dgram send of a part', 'dgram', outside, 53, () => sentPart(datagram(), outside)],
  ['dgram send without a callback', 'dgram', outside, 53, () => sentAway(datagram(), outside)],
  ['dgram broadcast', 'dgram', '255.255.255.255', 9, () => sent(datagram(), 9, '255.255.255.255')],
  ['dgram multicast', 'dgram', '233.252.0.1', 9, () => sent(datagram(), 9, '233.252.0.1')],
  ['dgram connect', 'dgram', outside, 53, () => dgramConnect(datagram(), outside)],
  ['dgram connect without a callback', 'dgram', name, 53, () => connectAway(datagram(), name)],
  ['dns.lookup', 'dns', name, undefined, () => promisify(dns.lookup)(name)],
  ['dns.lookup imported by name', 'dns', name, undefined, () => promisify(importedLookup)(name)],
  ['dns.lookupService', 'dns', outside, undefined, () => promisify(dns.lookupService)(outside, 22)],
  ['dns.resolve', 'dns', name, undefined, () => promisify(dns.resolve)(name)],
  ['dns.resolveMx', 'dns', name, undefined, () => promisify(dns.resolveMx)(name)],
  ['dns.resolve4 with options', 'dns', name, undefined, () => resolveTtl()],
  ['dns.reverse', 'dns', outside, undefined, () => promisify(dns.reverse)(outside)],
  ['dns.promises.lookup', 'dns', name, undefined, () => dns.promises.lookup(name)],
  ['dns/promises lookup with options', 'dns', name, undefined, () => dnsPromises.lookup(name, { all: true })],
  ['dns/promises imported by name', 'dns', name, undefined, () => importedResolve4(name)],
  ['dns/promises resolveTxt', 'dns', name, undefined, () => dnsPromises.resolveTxt(name)],
  ['dns/promises reverse', 'dns', outside, undefined, () => dnsPromises.reverse(outside)],
  ['a Resolver', 'dns', name, undefined, () => resolverBy((each, done) => each.resolveSrv(name, done))],
  ['a Resolver of promises', 'dns', name, undefined, () => new dnsPromises.Resolver().resolve6(name)],
  [
    'a Resolver with a server outside',
    'dns',
    name,
    undefined,
    () => resolverAt('127.0.0.1:5353', `${outside}:5353`).resolve4(name),
  ],
  [
    'a Resolver with the machine’s forwarder',
    'dns',
    name,
    undefined,
    () => resolverAt('127.0.0.1').resolve4(name),
  ],
  ['mail servers of localhost', 'dns', 'localhost', undefined, () => dnsPromises.resolveMx('localhost')],
]

interface Dispatcher {
  request(options: object): Promise<unknown>
}

/** Node's own undici, behind fetch: Node exports it no other way, and the package is no dependency here. */
function dispatcher(): Dispatcher {
  return (globalThis as unknown as Record<symbol, Dispatcher>)[
    Symbol.for('undici.globalDispatcher.1')
  ] as Dispatcher
}

const asked = (origin: string): object => ({ origin, path: '/receipt.pdf', method: 'GET' })

/** The one API that tells nobody why it failed: only the ledger knows. */
async function webSocket(url: string): Promise<never> {
  await new Promise((resolve) => {
    new WebSocket(url).addEventListener('error', resolve)
  })
  throw guard.attempts[0]?.error
}

async function reconnect(): Promise<never> {
  const port = await serve()
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
  await once(socket, 'close')
  return failureOf(socket.connect(25, name))
}

const sent = (socket: dgram.Socket, port: number, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.send('x', port, host, (error) => (error ? reject(error) : resolve()))
  })

const sentPart = (socket: dgram.Socket, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.send(Buffer.from('xyz'), 1, 1, 53, host, (error) => (error ? reject(error) : resolve()))
  })

const sentAway = (socket: dgram.Socket, host: string): Promise<never> => {
  socket.send(['x', 'y'], 53, host)
  return failureOf(socket)
}

const dgramConnect = (socket: dgram.Socket, host: string): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.connect(53, host, ((error?: Error) => (error ? reject(error) : resolve())) as () => void)
  })

const connectAway = (socket: dgram.Socket, host: string): Promise<never> => {
  socket.connect(53, host)
  return failureOf(socket)
}

const resolveTtl = (): Promise<unknown> =>
  new Promise((resolve, reject) => {
    dns.resolve4(name, { ttl: true }, (error, answer) => (error ? reject(error) : resolve(answer)))
  })

const resolverBy = (ask: (each: dns.Resolver, done: (error: Error | null) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    ask(new dns.Resolver(), (error) => (error ? reject(error) : resolve()))
  })

function resolverAt(...servers: string[]): dnsPromises.Resolver {
  const resolver = new dnsPromises.Resolver({ timeout: 200, tries: 1 })
  resolver.setServers(servers)
  return resolver
}

describe('nothing gets out', () => {
  test.for(routes)('by %s', async ([, route, host, port, attempt]) => {
    const error = await refusal(attempt)
    expect(error).toMatchObject({ code: 'permission-denied', outcome: 'not-applied', retryable: false })
    expect(guard.attempts).toEqual([expect.objectContaining({ route, host, port, error })])
    expect(error.message).toContain(`${route} to ${error.subject}`)
    expect(error.message).toContain(`allow: ['${error.subject}']`)
  })

  test('by a redirect from a server on loopback', async () => {
    const port = await serve((_request, response) =>
      response.writeHead(302, { location: `http://${name}/x.png` }).end(),
    )
    await refusal(fetch(`http://127.0.0.1:${port}/`))
    expect(guard.attempts.map(({ host }) => host)).toEqual([name])
    // It connects long after the call: the ledger names who called all the same.
    expect(guard.attempts[0]?.caller).toContain('egress.test.ts')
    expect(guard.attempts[0]?.error.stack).toContain('egress.test.ts')
  })

  test('by a datagram socket whose lookup leads outside', async () => {
    const lookup = (host: string, _family: unknown, done: (...args: unknown[]) => void) =>
      done(null, host === '0.0.0.0' ? host : outside, 4)
    const socket = closing(dgram.createSocket({ type: 'udp4', lookup: lookup as never }))
    socket.on('error', () => {})
    expect((await refusal(sent(socket, 9, '127.0.0.1'))).code).toBe('permission-denied')
  })

  test('by dgram connectSync, where Node has it', async () => {
    const socket = datagram() as dgram.Socket & { connectSync?: (port: number, host: string) => void }
    if (socket.connectSync === undefined) return expect(process.versions.node).toMatch(/^2[0-4]\./)
    expect((await refusal(() => socket.connectSync?.(53, outside))).subject).toBe(`${outside}:53`)
  })

  test('by a datagram socket that was connected before the guard stood', async () => {
    guard.uninstall()
    const socket = datagram()
    // Connecting a datagram socket sends nothing.
    await dgramConnect(socket, outside).catch(() => {})
    guard = installEgressGuard()
    const connected = await Promise.resolve()
      .then(() => socket.remoteAddress())
      .catch(() => undefined)
    // Without a route to the outside, as in a sealed container, there was no connection to begin with.
    if (connected === undefined) return expect(guard.attempts).toEqual([])
    await refusal(
      () => new Promise((resolve, reject) => socket.send('x', (e) => (e ? reject(e) : resolve(0)))),
    )
    expect(guard.attempts.map(({ host }) => host)).toEqual([outside])
  })

  test('by a socket on which the app has already written', async () => {
    const socket = net.connect(25, outside)
    socket.write('EHLO')
    expect((await refusal(failureOf(socket))).code).toBe('permission-denied')
  })

  test('by name servers that were set for the whole process', async () => {
    const before = dns.getServers()
    onTestFinished(() => dns.setServers(before))
    dns.setServers([`${outside}:5353`])
    await refusal(promisify(dns.resolve4)(name))
    await refusal(dnsPromises.resolve4(name))
    expect(guard.attempts).toHaveLength(2)
    // The system's own resolution does not ask these.
    dns.setServers(['127.0.0.1:5353'])
    await refusal(promisify(dns.lookup)(name))
    await refusal(dnsPromises.lookup(name))
    expect(guard.attempts).toHaveLength(4)
  })
})

describe('what stays on the machine goes through', () => {
  test.for([
    '127.0.0.1',
    'localhost',
    'LOCALHOST',
    'localhost.',
    '2130706433',
    '0x7f.1',
    '[::ffff:127.0.0.1]',
  ])('fetch of %s', async (host) => {
    const port = await serve()
    expect(await (await fetch(`http://${host}:${port}/`)).text()).toBe('here')
    guard.assertClean()
  })

  test('net, tls over a stream, and http by default host', async () => {
    const port = await serve()
    await once(
      net.connect(port).once('connect', function (this: net.Socket) {
        this.destroy()
      }),
      'connect',
    )
    const [response] = await once(http.get({ port, agent: false }), 'response')
    expect(response.statusCode).toBe(200)
    response.resume()
    // tls over a stream connects nothing.
    const over = tls.connect({ socket: new Duplex({ read() {}, write: (_c, _e, done) => done() }) })
    over.on('error', () => {}).destroy()
    guard.assertClean()
  })

  test('a Unix socket', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'egress-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const server = closing(net.createServer((socket) => socket.end('here')).listen(join(directory, 's')))
    await once(server, 'listening')
    const socket = net.connect(join(directory, 's'))
    expect(String((await once(socket, 'data'))[0])).toBe('here')
    guard.assertClean()
  })

  test('a server that listens on localhost, by either family', async () => {
    const server = closing(net.createServer((socket) => socket.end('here')).listen(0, 'localhost'))
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    for (const options of [{}, { family: 4 }, { autoSelectFamily: false }]) {
      expect(String((await once(net.connect({ port, host: 'localhost', ...options }), 'data'))[0])).toBe(
        'here',
      )
    }
    guard.assertClean()
  })

  test('a name whose own lookup leads to loopback', async () => {
    const port = await serve()
    const [response] = await once(
      http.get({ host: name, port, lookup: lookupTo('127.0.0.1'), agent: false }),
      'response',
    )
    expect(response.resume().statusCode).toBe(200)
    guard.assertClean()
  })

  test.for(['127.0.0.1', 'localhost', undefined])('a datagram to %s', async (host) => {
    const server = datagram().bind(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    const message = once(server, 'message')
    const client = datagram()
    if (host === undefined) client.send('here', port)
    else client.send('here', port, host)
    expect(String((await message)[0])).toBe('here')
    const connected = datagram()
    connected.connect(port, host ?? '127.0.0.1')
    await once(connected, 'connect')
    const next = once(server, 'message')
    connected.send('again')
    expect(String((await next)[0])).toBe('again')
    guard.assertClean()
  })

  test('localhost is answered without asking a server', async () => {
    expect(await dnsPromises.lookup('localhost', 4)).toEqual({ address: '127.0.0.1', family: 4 })
    expect(await promisify(dns.lookup)('localhost', { family: 4 })).toEqual({
      address: '127.0.0.1',
      family: 4,
    })
    expect(await dnsPromises.lookup('localhost', { all: true })).toContainEqual({
      address: '127.0.0.1',
      family: 4,
    })
    expect(await dnsPromises.lookup('localhost', { family: 6 })).toEqual({ address: '::1', family: 6 })
    expect(await dnsPromises.resolve4('localhost')).toEqual(['127.0.0.1'])
    expect(await dnsPromises.resolve('localhost', 'A')).toEqual(['127.0.0.1'])
    expect(await promisify(dns.resolve)('localhost')).toEqual(['127.0.0.1'])
    expect(await new dnsPromises.Resolver().resolve4('localhost', { ttl: true })).toEqual([
      { address: '127.0.0.1', ttl: 0 },
    ])
    guard.assertClean()
  })

  test('an address needs no resolution', async () => {
    expect(await dnsPromises.lookup(outside)).toEqual({ address: outside, family: 4 })
    guard.assertClean()
  })

  test('a name server of the test’s own', async () => {
    const server = datagram().bind(0, '127.0.0.1')
    await once(server, 'listening')
    // Refused, in the words of DNS: the query's own id, then flags with RCODE 5.
    server.on('message', (query, { port }) => {
      const answer = Buffer.from(query)
      answer.writeUInt16BE(0x8185, 2)
      server.send(answer, port, '127.0.0.1')
    })
    const resolver = resolverAt(`127.0.0.1:${server.address().port}`)
    await expect(resolver.resolve4(name)).rejects.toMatchObject({ code: 'EREFUSED' })
    guard.assertClean()
  })

  test('bad arguments fail as Node has it', () => {
    expect(() => net.connect({ port: 70_000, host: '127.0.0.1' })).toThrow(RangeError)
    expect(() => new net.Socket().connect({} as never)).toThrow(TypeError)
    expect(() => dns.lookup(name, undefined as never)).toThrow(TypeError)
    expect(() => net.connect({ port: 1, host: 7 as never })).toThrow(TypeError)
    expect(() => datagram().send('x', -1, '127.0.0.1')).toThrow(RangeError)
    guard.assertClean()
  })
})

describe('the vendors’ clients', () => {
  type Target = (host: string, port: number) => Promise<unknown>
  const clients: readonly (readonly [string, Target])[] = [
    ['pg', (host, port) => new pg.Client({ host, port }).connect()],
    [
      'ioredis',
      async (host, port) => {
        const redis = new Redis({ host, port, lazyConnect: true, retryStrategy: () => null })
        const failure = failureOf(redis as EventEmitter)
        await Promise.all([redis.connect().catch(() => {}), failure])
      },
    ],
    [
      'nodemailer',
      (host, port) =>
        nodemailer.createTransport({ host, port }).sendMail({ from: 'a@b.invalid', to: 'a@b.invalid' }),
    ],
    [
      'the S3 client',
      async (host, port) => {
        const client = new S3Client({
          endpoint: `http://${host}:${port}`,
          region: 'x',
          forcePathStyle: true,
          maxAttempts: 1,
          credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
        })
        await client.send(new HeadBucketCommand({ Bucket: 'bucket' })).finally(() => client.destroy())
      },
    ],
  ]

  test.for(clients)('%s reaches localhost', async ([, connect]) => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    // Nobody is there any more: that it says so shows that it has asked.
    await expect(connect('localhost', port)).rejects.toSatisfy((error) => /ECONNREFUSED/.test(inspect(error)))
    guard.assertClean()
  })

  test.for(clients)('%s does not get out', async ([, connect]) => {
    await expect(connect(name, 4321)).rejects.toThrow()
    expect(guard.attempts.map(({ host }) => host)).toContain(name)
    expect(guard.attempts.map(({ host }) => host)).not.toContain('localhost')
  })
})

describe('what is allowed', () => {
  /** Whether a connection was let through; none of these can come to an answer. */
  const passes = async (options: {
    host: string
    port: number
    lookup?: LookupFunction
  }): Promise<boolean> => {
    const before = guard.attempts.length
    const socket = net.connect({ ...options, signal: AbortSignal.timeout(20) }).on('error', () => {})
    await new Promise((resolve) => socket.once('close', resolve))
    return guard.attempts.length === before
  }

  test('is reached on its port alone', async () => {
    guard.allow(`${outside}:25`, '[2001:db8::1]:26')
    expect(await passes({ host: outside, port: 25 })).toBe(true)
    expect(await passes({ host: outside6, port: 26 })).toBe(true)
    expect(await passes({ host: outside, port: 26 })).toBe(false)
  })

  test('is reached by name under whatever address it has', async () => {
    guard.allow('db.internal:5432')
    expect(await passes({ host: 'db.internal', port: 5432, lookup: lookupTo(outside) })).toBe(true)
    expect(await passes({ host: 'db.internal', port: 5433, lookup: lookupTo(outside) })).toBe(false)
  })

  test.for(['promises', 'callbacks'])(
    'is reached by a client that resolves the name itself, by %s',
    async (style) => {
      const server = datagram().bind(0, '127.0.0.1')
      await once(server, 'listening')
      // One A record of the name that was asked for.
      const record = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1])
      server.on('message', (query, { port }) => {
        const end = query.indexOf(0, 12) + 5
        const answer = Buffer.concat([query.subarray(0, end), record])
        answer.writeUInt16BE(0x8180, 2)
        answer.set([0, 1, 0, 1, 0, 0, 0, 0], 4)
        server.send(answer, port, '127.0.0.1')
      })
      const servers = [`127.0.0.1:${server.address().port}`]
      const resolve = (host: string): Promise<string[]> => {
        const resolver = style === 'promises' ? new dnsPromises.Resolver() : new dns.Resolver()
        resolver.setServers(servers)
        if (resolver instanceof dnsPromises.Resolver) return resolver.resolve4(host)
        return promisify<string, string[]>((each, done) => resolver.resolve4(each, done as never))(host)
      }
      expect(await resolve('mail.internal')).toEqual([outside])
      expect(await passes({ host: outside, port: 25 })).toBe(false)
      guard.allow('mail.internal:25')
      expect(await resolve('mail.internal')).toEqual([outside])
      expect(await passes({ host: outside, port: 25 })).toBe(true)
      expect(await passes({ host: outside, port: 26 })).toBe(false)
    },
  )

  test('may be given by an outer guard or an inner one, for as long as it stands', async () => {
    const inner = installEgressGuard({ allow: [outside] })
    expect(await passes({ host: outside, port: 1 })).toBe(true)
    inner.uninstall()
    expect(await passes({ host: outside, port: 1 })).toBe(false)
  })

  test('must be a host', () => {
    expect(() => installEgressGuard({ allow: ['*'] })).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
    expect(() => guard.allow('')).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })
})

describe('the ledger', () => {
  test('keeps what the app swallowed, and who it was', async () => {
    async function swallowing(): Promise<void> {
      await fetch(`https://${name}/pixel.png`).catch(() => undefined)
      await promisify(dns.lookup)(name).catch(() => undefined)
      net.connect(25, outside).on('error', () => {})
    }
    await swallowing()
    expect(guard.attempts.map(({ caller }) => caller)).toEqual(
      Array(3).fill(expect.stringContaining('egress.test.ts')),
    )
    expect(guard.attempts.map(({ caller }) => caller)).toEqual(
      Array(3).fill(expect.stringContaining('swallowing')),
    )
    let failure: unknown
    try {
      guard.assertClean()
    } catch (error) {
      failure = error
    }
    expect(failure).toBeInstanceOf(AggregateError)
    const { errors, message } = failure as AggregateError
    expect(errors).toEqual(guard.attempts.map(({ error }) => error))
    for (const line of [`fetch to ${name}:443`, `dns to ${name}`, `net to ${outside}:25`])
      expect(message).toContain(line)
    // Asking again answers the same.
    expect(() => guard.assertClean()).toThrow(AggregateError)
  })

  test('holds each of many attempts at a time', async () => {
    const port = await serve()
    const each = Array.from({ length: 40 }, (_, at) =>
      at % 2 === 0
        ? fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text())
        : fetch(`http://n${at}.invalid/`),
    )
    const settled = await Promise.allSettled(each)
    expect(settled.map(({ status }) => status)).toEqual(
      each.map((_, at) => (at % 2 === 0 ? 'fulfilled' : 'rejected')),
    )
    expect(guard.attempts.map(({ host }) => host).sort()).toEqual(
      Array.from({ length: 20 }, (_, at) => `n${2 * at + 1}.invalid`).sort(),
    )
  })

  test('can be emptied by a test that expects attempts, for the guards around it too', async () => {
    const inner = installEgressGuard()
    await refusal(dnsPromises.lookup(name))
    expect(guard.attempts).toHaveLength(1)
    expect(inner.take()).toHaveLength(1)
    inner.assertClean()
    guard.assertClean()
    inner.uninstall()
  })

  test('is asserted when the guard is disposed of, which uninstalls it all the same', async () => {
    const inner = installEgressGuard()
    await refusal(dnsPromises.lookup(name))
    expect(() => inner[Symbol.dispose]()).toThrow(AggregateError)
    inner.take()
    await refusal(dnsPromises.lookup(name))
    expect(inner.attempts).toEqual([])
  })
})

describe('uninstalling', () => {
  /** Everything that is, or could be, replaced, by name. */
  const state = (): Map<string, unknown> => {
    const objects = {
      net,
      socket: net.Socket.prototype,
      tls: tls.TLSSocket.prototype,
      dgram,
      datagram: dgram.Socket.prototype,
      dns,
      promises: dns.promises,
      resolver: dns.Resolver.prototype,
      promisesResolver: dnsPromises.Resolver.prototype,
      http,
      https,
      globalThis,
    }
    const found = new Map<string, unknown>([
      ['import lookup', importedLookup],
      ['import resolve4', importedResolve4],
    ])
    for (const [title, object] of Object.entries(objects)) {
      for (const [key, each] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
        for (const [part, value] of Object.entries(each)) found.set(`${title} ${key} ${part}`, value)
      }
    }
    return found
  }

  test('restores everything exactly, however often it is installed', () => {
    guard.uninstall()
    const before = state()
    const differing = () =>
      [...state()].filter(([key, value]) => !Object.is(value, before.get(key))).map(([key]) => key)
    const [first, second] = [installEgressGuard(), installEgressGuard()]
    expect(differing()).toContain('import lookup')
    const replaced = differing()
    first.uninstall()
    first.uninstall()
    expect(differing()).toEqual(replaced)
    second.uninstall()
    expect(differing()).toEqual([])
    expect(state().size).toBe(before.size)
  })

  test('leaves what another tool has put on top, and refuses nothing any more', async () => {
    const ours = net.Socket.prototype.connect
    expect(ours).not.toBe(untouched)
    const theirs = vi.fn(ours)
    net.Socket.prototype.connect = theirs as never
    guard.uninstall()
    expect(net.Socket.prototype.connect).toBe(theirs)
    const port = await serve()
    await once(http.get({ port, host: 'localhost', agent: false }), 'response').then(([answer]) =>
      answer.resume(),
    )
    expect(theirs).toHaveBeenCalled()
    guard = installEgressGuard()
    await refusal(failureOf(net.connect(25, outside)))
    expect(guard.attempts).toHaveLength(1)
    guard.uninstall()
    expect(net.Socket.prototype.connect).toBe(theirs)
    // And when they have gone, nothing of ours stays behind for good.
    net.Socket.prototype.connect = ours
    installEgressGuard().uninstall()
    expect(net.Socket.prototype.connect).not.toBe(ours)
    expect(net.Socket.prototype.connect).toBe(untouched)
  })

  test('a replacement looks like what it replaces', async () => {
    expect([dns.lookup.name, dns.resolve4.name, net.Socket.prototype.connect.length]).toEqual([
      'lookup',
      'bound queryA',
      0,
    ])
    expect(await promisify(dns.lookup)('127.0.0.1')).toEqual({ address: '127.0.0.1', family: 4 })
  })
})
