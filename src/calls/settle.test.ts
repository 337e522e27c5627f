import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { withinMs } from './settle.ts'

describe('what is waited for within a time', () => {
  test('is told when it ends, or that it does not', async () => {
    expect(await withinMs(10_000, Promise.resolve(5))).toEqual({ ended: true, value: 5 })
    expect(await withinMs(1, new Promise(() => {}))).toEqual({ ended: false })
    await expect(withinMs(10_000, Promise.reject(new Error('no')))).rejects.toThrow('no')
  })

  test('has ended where only this process was too busy to see it', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    setTimeout(() => socket.destroy(), 1)
    const waited = withinMs(20, closed)
    // Both timers are over due when the loop runs again, and the news that it closed comes after them.
    const end = performance.now() + 60
    while (performance.now() < end);
    expect(await waited).toEqual({ ended: true, value: undefined })
    server.close()
  })
})
