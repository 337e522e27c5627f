/** One contract, two subjects: what holds for the fake holds for the adapter. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type FakeContext, guard, PortError, ServiceUrl, systemClock } from 'portside'
import { expectPortError, type OpenSubject } from 'portside/contract-tests'
import { describeContract } from 'portside/contract-tests/vitest'
import { expect, onTestFinished, test } from 'vitest'
import { type InsidePrinter, ticketPrinterContract } from './contract.ts'
import { type PrintShopEmulator, startPrintShop } from './emulator.ts'
import { classifyPrintShopError, PrintShopRefusal } from './errors.ts'
import { FakeTicketPrinter } from './fake.ts'
import { printShop, printShopTicketPrinter } from './http.ts'
import { TicketPrinter } from './ticket-printer.ts'

const apiKey = 'canary-key-of-the-print-shop'
const ticket = { event: 'Opening night', seat: 'A-1', holder: 'ada@example.org' }

describeContract(ticketPrinterContract, {
  name: 'fake',
  kind: 'fake',
  async open() {
    const fake = new FakeTicketPrinter()
    return { guarded: fake.guarded, openAnother: async () => fake.guarded, ...controls(fake) }
  },
})

describeContract(ticketPrinterContract, {
  name: 'adapter on emulator',
  kind: 'emulator',
  async open() {
    const { fake, shop, guarded, dispose } = await openAdapter()
    const openAnother = async () => adapterOn(shop.origin)
    return { guarded, openAnother, canaries: [apiKey], dispose, ...controls(fake) }
  },
  async openUnreachable() {
    const { shop } = await openAdapter()
    await shop.close()
    return { guarded: adapterOn(shop.origin), canaries: [apiKey] }
  },
})

/** What the contract may do behind the port: the fake is at the end of both ways. */
function controls(fake: FakeTicketPrinter): Partial<OpenSubject<TicketPrinter>> {
  return {
    inside: fake satisfies InsidePrinter,
    delayNext: (operation, ms) => fake.faults.next(operation as 'print', { latencyMs: ms }),
    force: (operation, failure) => fake.faults.next(operation as 'print', failure),
  }
}

function adapterOn(origin: URL, key = apiKey) {
  return guard(TicketPrinter, printShopTicketPrinter({ origin, apiKey: key }))
}

async function openAdapter(context: FakeContext = { clock: systemClock }) {
  const fake = new FakeTicketPrinter(context)
  const shop: PrintShopEmulator = await startPrintShop(fake, apiKey)
  return { fake, shop, guarded: adapterOn(shop.origin), dispose: () => shop.close() }
}

test('a wrong key is unauthenticated', async () => {
  const { shop, dispose } = await openAdapter()
  onTestFinished(dispose)
  const stranger = adapterOn(shop.origin, 'another-key')
  await expectPortError(stranger.port.find('job-1'), 'unauthenticated')
  await expectPortError(stranger.ping(), 'unauthenticated')
})

test('an answer that is no job is corrupt; after an order, the order stands', async () => {
  const server = createServer((_, response) => response.end('{"id":7}')).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = adapterOn(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  await expectPortError(port.print('job-1', [ticket]), 'corrupt', { outcome: 'applied' })
  await expectPortError(port.find('job-1'), 'corrupt', { outcome: 'not-applied' })
})

test('a redirect is not followed: it would carry the key elsewhere', async () => {
  let visitors = 0
  const elsewhere = createServer((_, response) => {
    visitors += 1
    response.end('{}')
  }).listen(0, '127.0.0.1')
  await once(elsewhere, 'listening')
  const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`
  const shop = createServer((_, response) => response.writeHead(307, { location }).end()).listen(
    0,
    '127.0.0.1',
  )
  await once(shop, 'listening')
  onTestFinished(() => {
    elsewhere.close()
    shop.close()
  })
  const { port } = adapterOn(new URL(`http://127.0.0.1:${(shop.address() as AddressInfo).port}`))
  await expectPortError(port.find('job-1'), 'unavailable')
  expect(visitors).toBe(0)
})

test.each([
  ['print-shop://key:secret-key@print.example', undefined],
  ['print-shop+http://key:secret-key@127.0.0.1:8080', undefined],
  ['print-shop+http://key:secret-key@[::1]:8080', undefined],
  ['print-shop+http://key:secret-key@print.example', /loopback/],
  ['print-shop://print.example', /API key/],
  ['print-shop://key:secret-key@print.example/v2', /path/],
  ['print-shop://key:secret-key@print.example?retries=3', /unknown/],
])('the URL %s has this problem: %s', (text, problem) => {
  const parsed = ServiceUrl.parse(text, printShop.parameters)
  const problems = 'url' in parsed ? printShop.validate?.(parsed.url) : parsed.problems
  expect(problems).toEqual(problem === undefined ? [] : [expect.stringMatching(problem)])
  expect(String(problems)).not.toContain('secret-key')
})

test.each([
  [400, '{"error":"bad_job"}', 'rejected', 'not-applied', false],
  [401, '', 'unauthenticated', 'not-applied', false],
  [403, '{}', 'permission-denied', 'not-applied', false],
  [409, '{"error":"job_exists"}', 'already-exists', 'not-applied', false],
  [409, '{"error":"already_printed"}', 'precondition-failed', 'not-applied', false],
  [422, '{"error":"too_long"}', 'rejected', 'not-applied', false],
  [429, '{}', 'rate-limited', 'not-applied', true],
  [500, '<html>', 'unavailable', 'unknown', true],
  [503, '{"error":"down"}', 'unavailable', 'not-applied', true],
  [418, '', 'internal', 'unknown', false],
] as const)('the answer %i %s is %s', (status, body, code, outcome, retryable) => {
  const classified = classifyPrintShopError(new PrintShopRefusal(status, body, null))
  const error = new PortError(classified ?? { code: 'internal', message: 'not classified' })
  expect(error).toMatchObject({ code, outcome, retryable })
})

test.each([
  ['ECONNREFUSED', 'not-applied'],
  ['ENOTFOUND', 'not-applied'],
  ['ECONNRESET', 'unknown'],
  ['UND_ERR_SOCKET', 'unknown'],
])('a fetch that failed with %s is unavailable, %s', (code, outcome) => {
  const failed = new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })
  expect(classifyPrintShopError(failed)).toMatchObject({ code: 'unavailable', outcome })
})

test('what is neither an answer nor a failed fetch is not classified', () => {
  expect(classifyPrintShopError(new RangeError('bug'))).toBeUndefined()
  expect(classifyPrintShopError(new TypeError('x is not a function'))).toBeUndefined()
})
