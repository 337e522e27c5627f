/** A wire between a client and its server that a behaviour can cut, freeze and slow down: a TCP proxy of our own. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Guarded } from '../src/calls/guard.ts'

/** A wire to the service. It carries everything until it is told otherwise. */
export interface Wire {
  /** Resets every connection, and each new one at once, until `mend`. */
  cut(): void
  /** Carries what a client sends next; in place of the answer to it every connection is reset. Once. */
  loseNextAnswer(): void
  /** Carries nothing in either direction and closes nothing, until `mend`; what was held back then goes on. */
  freeze(): void
  /** Makes everything take this much longer in each direction, until `mend`. */
  delay(ms: number): void
  /** Carries everything again. */
  mend(): void
}

/** A wire, and the clients of a subject's place that use it. */
export interface Network<T extends object> extends Wire {
  /** A client on the subject's place over this wire. Whoever opens it closes it. */
  open(): Promise<Guarded<T>>
}

/** A proxy that listens. */
export interface Proxy extends Wire {
  /** Where it listens on 127.0.0.1. */
  readonly port: number
  /** Ends every connection and stops listening. Twice resolves. */
  close(): Promise<void>
}

/** Starts a proxy on loopback in front of `port` of this machine. */
export async function startProxy(port: number): Promise<Proxy> {
  const proxy = new TcpProxy(port)
  await proxy.listen()
  return proxy
}

class TcpProxy implements Proxy {
  readonly #target: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #cut = false
  #delayMs = 0
  /** Pending while nothing is carried. */
  #thaw = Promise.withResolvers<void>()
  /** `armed` until something was sent, then the socket that must not hear the answer. */
  #losing: 'armed' | Socket | undefined

  constructor(target: number) {
    this.#target = target
    this.#thaw.resolve()
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
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
    this.#thaw.resolve()
  }

  async close(): Promise<void> {
    this.mend()
    this.#resetAll()
    if (!this.#server.listening) return
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
      const due = delayMs === 0 ? undefined : new Promise((passed) => setTimeout(passed, delayMs))
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
