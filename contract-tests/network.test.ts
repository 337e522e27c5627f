import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { PortError } from '../src/errors.ts'
import { type CallOptions, definePort, type Port } from '../src/port.ts'
import { networkBehaviours } from './common/network.ts'
import { defineContract, type Subject } from './contract.ts'
import { type Network, networkTo } from './network.ts'
import { runContract } from './run.ts'

/** A service that answers each line with the same in capitals. */
interface Echo {
  say(line: string, options?: CallOptions): Promise<string>
}
const Echo: Port<Echo> = definePort<Echo>({
  name: 'echo',
  operations: { say: { kind: 'call', effect: 'write', idempotent: false, arity: 1 } },
})

let server: Server
let heard: string[]
beforeEach(async () => {
  heard = []
  server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (data) => {
      heard.push(String(data))
      socket.write(String(data).toUpperCase())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => new Promise((resolve) => server.close(resolve)))

const portOf = (): number => (server.address() as { port: number }).port

/** The last socket that was opened over the network. */
let socket: Socket
// Not `once` of events, which takes the error before it for its own.
const closed = (): Promise<unknown> => new Promise((resolve) => socket.once('close', resolve))
function network(): ReturnType<typeof networkTo<Echo>> {
  return networkTo(portOf(), async (port) => {
    socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed()])
    return { close: async () => void socket.destroy() } as Guarded<Echo>
  })
}

const answer = async (text: string): Promise<string> => {
  const next = once(socket, 'data')
  socket.write(text)
  return String((await next)[0])
}

describe('a network', () => {
  test('carries both ways, and ends with its client', async () => {
    const wire = network()
    await wire.open()
    expect(await answer('hello')).toBe('HELLO')
    socket.end()
    await closed()
    await wire.close()
    await wire.close()
  })

  test('that is cut resets what is open and what is new, until it is mended', async () => {
    const wire = network()
    await wire.open()
    const gone = closed()
    wire.cut()
    await gone
    await wire.open()
    if (!socket.closed) await closed()
    wire.mend()
    await wire.open()
    expect(await answer('again')).toBe('AGAIN')
    await wire.close()
  })

  test('that loses an answer has carried the request', async () => {
    const wire = network()
    await wire.open()
    await answer('first')
    wire.loseNextAnswer()
    const got: unknown[] = []
    socket.on('data', (data) => got.push(data))
    socket.write('second')
    await closed()
    expect({ heard, got }).toEqual({ heard: ['first', 'second'], got: [] })
    await wire.open()
    expect(await answer('third')).toBe('THIRD')
    await wire.close()
  })

  test('that is frozen holds everything back, then carries it in order', async () => {
    const wire = network()
    await wire.open()
    await answer('first')
    wire.freeze()
    socket.write('a')
    await wait(30)
    socket.write('b')
    await wait(30)
    expect(heard).toEqual(['first'])
    wire.delay(40)
    wire.mend()
    await expect.poll(() => heard.slice(1).join('')).toBe('ab')
    await wire.close()
  })

  test('that was slow has nothing on its way any more once it is mended', async () => {
    const wire = network()
    await wire.open()
    await answer('first')
    wire.delay(60_000)
    socket.write('a')
    await wait(30)
    expect(heard).toEqual(['first'])
    wire.mend()
    await expect.poll(() => heard.slice(1).join('')).toBe('a')
    await wire.close()
  })

  test('that is slow keeps the order, however slow it is when', async () => {
    const wire = network()
    await wire.open()
    let got = ''
    socket.on('data', (data) => {
      got += data
    })
    for (const [index, ms] of [60, 0, 30, 0, 0].entries()) {
      wire.delay(ms)
      socket.write(String(index))
      await wait(5)
    }
    await expect.poll(() => got).toBe('01234')
    await wire.close()
  })
})

describe('every behaviour of a network can fail', () => {
  const nothing = (): void => {}
  const { behaviours } = defineContract(
    Echo,
    networkBehaviours(Echo, { say: (port, options) => port.say('x', options) }),
  )
  const failing = async (
    say: (slow: boolean) => Promise<string>,
    ping: () => Promise<void> = async () => {},
  ): Promise<string[]> => {
    let slow = false
    const open = (): Guarded<Echo> =>
      guard(Echo, { calls: { say: () => say(slow) }, ping, close: async () => {} })
    const dull: Network<Echo> = {
      open: async () => open(),
      connections: () => 0,
      cut: nothing,
      loseNextAnswer: nothing,
      freeze: nothing,
      delay: () => {
        slow = true
      },
      mend: () => {
        slow = false
      },
    }
    const subject: Subject<Echo> = {
      name: 'echo',
      kind: 'fake',
      open: async () => ({ guarded: open(), network: dull }),
    }
    const results = await runContract({ port: Echo, behaviours }, subject)
    return results
      .filter(({ outcome }) => outcome === 'failed')
      .map(({ id }) => id.slice('echo/network/'.length))
  }
  const all = behaviours.map(({ id }) => id.slice('network/'.length))

  test('where a client answers whatever the network does', async () => {
    expect(await failing(async () => 'X')).toEqual(all.filter((id) => id !== 'slow-is-not-wrong'))
  })

  test('where a client fails over a slow one', async () => {
    const down = new PortError({ code: 'unavailable', message: 'slow' })
    expect(await failing(async (slow) => (slow ? Promise.reject(down) : 'X'))).toContain('slow-is-not-wrong')
  })

  test('where a client says that a write it lost was applied, or leaves its outcome open before it was sent', async () => {
    const told = (outcome: 'applied' | 'unknown') => () =>
      Promise.reject(new PortError({ code: 'unavailable', message: 'x', outcome }))
    expect(await failing(told('applied'))).toContain('lost-answer')
    expect(await failing(told('unknown'))).toContain('cut-before-the-request-is-not-applied')
  })
})
