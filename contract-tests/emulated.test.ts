import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { startS3Emulator } from '../fakes/emulators/s3.ts'
import { startSmtpEmulator } from '../fakes/emulators/smtp.ts'
import { startXEmulator } from '../fakes/emulators/x.ts'
import { FakeMailer } from '../fakes/mailer.ts'
import { FakeSocialPublisher } from '../fakes/social-publisher.ts'
import { freePort } from '../src/servers/free-port.ts'
import { isEmulated } from './emulated.ts'

const host = '127.0.0.1'

test('every emulator is known for one, from outside', async () => {
  await using s3 = await startS3Emulator()
  await using smtp = await startSmtpEmulator(new FakeMailer())
  await using x = await startXEmulator(new FakeSocialPublisher(), { token: 'token' })
  const found = await Promise.all([s3, smtp, x].map(({ port }) => isEmulated({ host, port })))
  expect(found).toEqual([true, true, true])
})

test('no other server is, whether it answers, ends, or says nothing', async () => {
  const servers: readonly Server[] = [
    createHttpServer((_, response) => response.setHeader('server', 'AmazonS3').end('hello')),
    createServer((socket) => socket.end('220 mail.example.org ESMTP Exim 4.96\r\n')),
    createServer((socket) => socket.destroy()),
    createServer(() => {}),
  ]
  const ports = await Promise.all(servers.map(listening))
  const found = await Promise.all([...ports, await freePort()].map((port) => isEmulated({ host, port })))
  expect(found).toEqual([false, false, false, false, false])
  for (const server of servers) server.close()
})

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return (server.address() as AddressInfo).port
}
