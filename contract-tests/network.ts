/** A wire between a client and its server that a behaviour can cut, freeze and slow down: a TCP proxy of our own. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Guarded } from '../src/calls/guard.ts'

/** A wire to the service, and the clients of a subject's place that use it. It carries everything until told otherwise. */
export interface Network<T extends object> {
  /** A client on the subject's place over this wire. Whoever opens it closes it. */
  open(): Promise<Guarded<T>>
  /** How many connections clients have to it now. */
  connections(): number
  /** Resets every connection, and each new one at once, until `mend`. */
  cut(): void
  /** Carries what a client sends next; in place of the answer to it every connection is reset. Once. */
  loseNextAnswer(): void
  /** Carries nothing in either direction and closes nothing, until `mend`; what was held back then goes on. */
  freeze(): void
  /** Makes everything take this much longer in each direction, until `mend`; what is under way then arrives at once. */
  delay(ms: number): void
  /** Carries everything again. */
  mend(): void
}

/**
 * The network of a service on `port` of this machine. It listens, on loopback, once a client is opened.
 * @param openAt opens a client that connects to the port it is given
 */
export function networkTo<T extends object>(
  port: number,
  openAt: (port: number) => Promise<Guarded<T>>,
): Network<T> & { close(): Promise<void> } {
  const proxy = new TcpProxy(port)
  return {
    open: async () => openAt(await proxy.listen()),
    connections: () => proxy.connections,
    cut: () => proxy.cut(),
    loseNextAnswer: () => proxy.loseNextAnswer(),
    freeze: () => proxy.freeze(),
    delay: (ms) => proxy.delay(ms),
    mend: () => proxy.mend(),
    close: () => proxy.close(),
  }
}

class TcpProxy {
  readonly #target: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #clients = new Set<Socket>()
  #listening: Promise<void> | undefined
  #cut = false
  #delayMs = 0
  #mended = Promise.withResolvers<void>()
  /** Pending while nothing is carried. */
  #thaw = Promise.withResolvers<void>()
  /** `armed` until something was sent, then the socket that must not hear the answer. */
  #losing: 'armed' | Socket | undefined

  constructor(target: number) {
    this.#target = target
    this.#thaw.resolve()
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  get connections(): number {
    return this.#clients.size
  }

  /** Listens, where it does not yet; answers on which port. */
  async listen(): Promise<number> {
    this.#listening ??= new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    await this.#listening
    return (this.#server.address() as { readonly port: number }).port
  }

  cut(): void {
    this.#cut = true
    this.#resetAll()
  }

  loseNextAnswer(): void {
    this.#losing = 'armed'
  }

  freeze(): void {
    this.#thaw = Promise.withResolvers()
  }

  delay(ms: number): void {
    this.#delayMs = ms
  }

  mend(): void {
    this.#cut = false
    this.#losing = undefined
    this.#delayMs = 0
    this.#mended.resolve()
    this.#mended = Promise.withResolvers()
    this.#thaw.resolve()
  }

  async close(): Promise<void> {
    this.mend()
    this.#resetAll()
    if (this.#listening === undefined) return
    await this.#listening
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  #accept(client: Socket): void {
    // Errors show as the close that follows them.
    client.on('error', () => {})
    if (this.#cut) {
      client.resetAndDestroy()
      return
    }
    this.#clients.add(client)
    client.once('close', () => this.#clients.delete(client))
    const upstream = connect({ port: this.#target, host: '127.0.0.1', noDelay: true })
    upstream.on('error', () => {})
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.once('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    this.#carry(client, upstream, () => {
      if (this.#losing === 'armed') this.#losing = upstream
      return true
    })
    this.#carry(upstream, client, () => {
      if (this.#losing !== upstream) return true
      this.#losing = undefined
      this.#resetAll()
      return false
    })
  }

  /** Passes on what comes from `from`, in order, however the delay changes meanwhile. */
  #carry(from: Socket, to: Socket, lets: () => boolean): void {
    let last: Promise<void> = Promise.resolve()
    const inTurn = (pass: () => void): void => {
      const delayMs = this.#delayMs
      const due = delayMs === 0 ? undefined : Promise.race([late(delayMs), this.#mended.promise])
      last = last.then(async () => {
        await due
        await this.#thaw.promise
        pass()
      })
    }
    from.on('data', (data) => {
      inTurn(() => {
        if (lets() && to.writable) to.write(data)
      })
    })
    from.once('end', () => inTurn(() => to.end()))
  }
}

function late(ms: number): Promise<void> {
  return new Promise((passed) => setTimeout(passed, ms).unref())
}
