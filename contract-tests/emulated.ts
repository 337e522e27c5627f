/** Whether what answers at an address is one of this package's emulators: a run on one confirms nothing of a real server. */
import { connect } from 'node:net'

/** What every emulator says of itself: in its greeting over SMTP, in the header `server` over HTTP. */
const mark = /emulator\.portside|portside-emulator/i
const mostBytes = 16_384
const limitMs = 2_000
/** By when a server that speaks first has spoken. */
const greetingMs = 500

/** Listens to the greeting, then asks for `/`. What does not answer, or only over TLS, is none. */
export function isEmulated({
  host,
  port,
}: {
  readonly host: string
  readonly port: number
}): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    let heard = ''
    const ask = setTimeout(
      () => socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
      greetingMs,
    )
    const end = (): void => {
      clearTimeout(ask)
      clearTimeout(limit)
      socket.destroy()
      resolve(mark.test(heard))
    }
    const limit = setTimeout(end, limitMs)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      heard += text
      if (mark.test(heard) || heard.length > mostBytes) end()
    })
    socket.once('error', end)
    socket.once('close', end)
  })
}
