/**
 * The egress guard and msw side by side, whichever came first: what a handler answers reaches no socket and is no
 * attempt; what msw lets pass, asset paths among it, does not get past the guard.
 */

import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { HttpResponse, http as mswHttp } from 'msw'
import { setupServer } from 'msw/node'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type EgressGuard, installEgressGuard } from './egress.ts'

const handled = 'api.invalid'
const unhandled = 'elsewhere.invalid'
const outside = '192.0.2.1'
const handledAddress = '192.0.2.2'

let guard: EgressGuard
let server: ReturnType<typeof setupServer>

const listen = () => {
  server = setupServer(
    mswHttp.all(`https://${handled}/*`, () => HttpResponse.text('mocked')),
    mswHttp.all(`http://${handled}/*`, () => HttpResponse.text('mocked')),
    mswHttp.all(`http://${handledAddress}/*`, () => HttpResponse.text('mocked')),
  )
  server.listen({ onUnhandledFrame: 'error' })
}

const textOf = async (request: http.ClientRequest): Promise<string> => {
  const [response] = (await once(request.end(), 'response')) as [http.IncomingMessage]
  return Buffer.concat(await response.toArray()).toString()
}

const told = vi.spyOn(console, 'error')
beforeEach(() => {
  // msw tells of what it refuses.
  told.mockImplementation(() => {})
})
afterEach(() => {
  told.mockReset()
})

describe.each([
  [
    'the guard first, as when a test file starts msw',
    () => {
      guard = installEgressGuard()
      listen()
    },
    () => {
      server.close()
      guard.uninstall()
    },
  ],
  [
    'msw first, as when a suite starts it for all tests',
    () => {
      listen()
      guard = installEgressGuard()
    },
    () => {
      guard.uninstall()
      server.close()
    },
  ],
])('%s', (_, install, uninstall) => {
  beforeEach(install)
  afterEach(uninstall)

  test.each(['http', 'https'])(
    'fetch of a handled %s address is answered, and no attempt',
    async (scheme) => {
      for (const path of ['/', '/data.json', '/pixel.png', '/receipt.pdf']) {
        expect(await (await fetch(`${scheme}://${handled}${path}`)).text()).toBe('mocked')
      }
      guard.assertClean()
    },
  )

  test('node:http and node:https to a handled address are answered, and no attempt', async () => {
    expect(await textOf(http.request(`http://${handled}/a`))).toBe('mocked')
    expect(await textOf(https.request(`https://${handled}/a`))).toBe('mocked')
    guard.assertClean()
  })

  test.each([
    ['http', '/data.json'],
    ['http', '/pixel.png'],
    ['https', '/receipt.pdf'],
    ['https', '/node_modules/x'],
  ])('fetch of %s://…%s, which msw lets pass, does not get out', async (scheme, path) => {
    await expect(fetch(`${scheme}://${unhandled}${path}`)).rejects.toThrow(TypeError)
    expect(guard.attempts).toMatchObject([{ host: unhandled, port: scheme === 'http' ? 80 : 443 }])
    expect(guard.attempts[0]?.caller).toContain('egress-msw.test.ts')
    expect(() => guard.assertClean()).toThrow(unhandled)
  })

  test.each([
    ['http', () => http.request(`http://${unhandled}/pixel.png`)],
    ['https', () => https.request(`https://${unhandled}/data.json`)],
  ] as const)('node:%s of an asset does not get out', async (_scheme, request) => {
    await expect(textOf(request())).rejects.toThrow()
    expect(guard.attempts).toMatchObject([{ host: unhandled }])
  })

  test('an address does not get out', async () => {
    await expect(fetch(`http://${outside}/data.json`)).rejects.toThrow(TypeError)
    expect(guard.attempts).toMatchObject([{ host: outside, port: 80 }])
  })

  test('an address is refused even where there is a handler for it', async () => {
    await expect(fetch(`http://${handledAddress}/`)).rejects.toThrow(TypeError)
    expect(guard.attempts).toMatchObject([{ host: handledAddress, port: 80 }])
  })

  test('an error that the app swallows is in the ledger all the same', async () => {
    await fetch(`https://${unhandled}/report.json`).catch(() => undefined)
    expect(() => guard.assertClean()).toThrow(`${unhandled}:443`)
  })

  test('what msw refuses itself does not get out either', async () => {
    await expect(fetch(`https://${unhandled}/api`)).rejects.toThrow(TypeError)
    expect(told).toHaveBeenCalled()
  })

  test.each([
    ['net', () => net.connect(25, unhandled)],
    ['tls', () => tls.connect({ host: unhandled, port: 465 })],
  ])('%s, which is no HTTP, does not get out', async (_route, connect) => {
    const socket = connect()
    // msw waits for a word of either side before it lets a connection pass.
    socket.on('data', () => {})
    await expect(once(socket, 'close')).rejects.toThrow()
    expect(guard.attempts).toMatchObject([{ host: unhandled }])
  })

  test('a server on loopback is reached through both', async () => {
    const local = http.createServer((_request, response) => response.end('here')).listen(0, '127.0.0.1')
    await once(local, 'listening')
    const { port } = local.address() as net.AddressInfo
    try {
      for (const host of ['127.0.0.1', 'localhost']) {
        expect(await (await fetch(`http://${host}:${port}/x.json`)).text()).toBe('here')
      }
      guard.assertClean()
    } finally {
      local.closeAllConnections()
      local.close()
    }
  })
})

test('both can go in any order, and leave nothing behind', () => {
  const before = [net.Socket.prototype.connect, globalThis.fetch]
  guard = installEgressGuard()
  listen()
  guard.uninstall()
  server.close()
  installEgressGuard().uninstall()
  listen()
  guard = installEgressGuard()
  server.close()
  guard.uninstall()
  installEgressGuard().uninstall()
  expect([net.Socket.prototype.connect, globalThis.fetch]).toEqual(before)
})
