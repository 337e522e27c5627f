/** Ports of the loopback address. */
import { createServer } from 'node:net'

/** Whether a server could listen on `port` now. */
export function isFree(port: number): Promise<boolean> {
  return listen(port).then(
    () => true,
    () => false,
  )
}

/** A port that was free a moment ago. Whoever uses it must be ready to find it taken. */
export function freePort(): Promise<number> {
  return listen(0)
}

function listen(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('a TCP server has a port')),
      )
    })
  })
}
