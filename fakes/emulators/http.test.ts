/** How emulators are served, whatever they emulate. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import { expect, test } from 'vitest'
import { listen } from './http.ts'

test('a request may take as long as its body does, but its headers may not', async () => {
  const servers = new Set<Server>()
  const heard = (message: unknown): void => {
    servers.add((message as { readonly server: Server }).server)
  }
  subscribe('http.server.request.start', heard)
  try {
    await using served = await listen({ handle: async () => ({ status: 204 }) })
    await fetch(served.origin)
    const [server] = servers
    // Node would cut every upload of more than five minutes off.
    expect(server?.requestTimeout).toBe(0)
    expect(server?.headersTimeout).toBeGreaterThan(0)
  } finally {
    unsubscribe('http.server.request.start', heard)
  }
})
