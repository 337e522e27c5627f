/** One contract, two subjects: what holds for the fake holds for the adapter. */
import { type FakeContext, guard, PortError, systemClock } from 'portside'
import { expectPortError, type OpenSubject } from 'portside/contract-tests'
import { describeContract } from 'portside/contract-tests/vitest'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ticketPrinterContract } from './contract.ts'
import { type PrintShopEmulator, startPrintShop } from './emulator.ts'
import { classifyPrintShopError, PrintShopRefusal } from './errors.ts'
import { FakeTicketPrinter } from './fake.ts'
import { printShopTicketPrinter } from './http.ts'
import { TicketPrinter } from './ticket-printer.ts'

const apiKey = 'canary-key-of-the-print-shop'
const ticket = { event: 'Opening night', seat: 'A-1', holder: 'ada@example.org' }

describeContract(ticketPrinterContract, {
  name: 'fake',
  kind: 'fake',
  async open() {
    const fake = new FakeTicketPrinter()
    return {
      guarded: fake.guarded,
      openAnother: async () => fake.guarded,
      delayNext: (operation, ms) => fake.faults.next(operation as 'print', { latencyMs: ms }),
    }
  },
})

describeContract(ticketPrinterContract, {
  name: 'adapter on emulator',
  kind: 'emulator',
  async open() {
    const { fake, shop, guarded, dispose } = await openAdapter()
    return {
      guarded,
      openAnother: async () => adapterOn(shop.origin),
      delayNext: (operation, ms) => fake.faults.next(operation as 'print', { latencyMs: ms }),
      canaries: [apiKey],
      dispose,
    }
  },
  async openUnreachable(): Promise<OpenSubject<TicketPrinter>> {
    const { shop } = await openAdapter()
    await shop.close()
    return { guarded: adapterOn(shop.origin), canaries: [apiKey] }
  },
})

function adapterOn(origin: URL, key = apiKey) {
  return guard(TicketPrinter, printShopTicketPrinter({ origin, apiKey: key }))
}

async function openAdapter(context: FakeContext = { clock: systemClock }) {
  const fake = new FakeTicketPrinter(context)
  const shop: PrintShopEmulator = await startPrintShop(fake, apiKey)
  return { fake, shop, guarded: adapterOn(shop.origin), dispose: () => shop.close() }
}

describe('the adapter, beyond the contract', () => {
  async function open() {
    const opened = await openAdapter()
    onTestFinished(opened.dispose)
    return { ...opened, port: opened.guarded.port }
  }

  test('a lost answer is of unknown outcome, and the job is there', async () => {
    const { fake, port } = await open()
    fake.faults.next('print', { error: 'unavailable', when: 'after' })
    await expectPortError(port.print('job-1', [ticket]), 'unavailable', { outcome: 'unknown' })
    expect(fake.jobs).toMatchObject([{ id: 'job-1' }])
  })

  test('a shop that is down has not taken the job', async () => {
    const { fake, port } = await open()
    fake.faults.next('print', { error: 'unavailable', retryAfterMs: 3_000 })
    const error = await expectPortError(port.print('job-1', [ticket]), 'unavailable', {
      outcome: 'not-applied',
    })
    expect(error.retryAfterMs).toBe(3_000)
    expect(fake.jobs).toEqual([])
  })

  test('a printed job cannot be cancelled, on the fake and through the adapter', async () => {
    const { fake, port } = await open()
    await port.print('job-1', [ticket])
    fake.finishAll()
    await expectPortError(fake.cancel('job-1'), 'precondition-failed')
    await expectPortError(port.cancel('job-1'), 'precondition-failed')
    expect((await port.find('job-1'))?.status).toBe('printed')
  })

  test('a wrong key is unauthenticated', async () => {
    const { shop } = await open()
    const { port, ping } = adapterOn(shop.origin, 'another-key')
    await expectPortError(port.find('job-1'), 'unauthenticated')
    await expectPortError(ping.call(adapterOn(shop.origin, 'another-key')), 'unauthenticated')
  })
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
