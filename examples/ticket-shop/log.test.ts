import { PortError } from 'portside'
import { expect, test } from 'vitest'
import { createLogger, logFailures } from './log.ts'

function open() {
  const lines: string[] = []
  const log = createLogger((line) => lines.push(line))
  return { log, entries: () => lines.map((line) => JSON.parse(line)), lines }
}

test('each entry is one line of JSON', () => {
  const { log, entries, lines } = open()
  log.info('two\nlines', { count: 3n, at: new Date(0) })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^[^\n]+\n$/)
  expect(entries()).toMatchObject([
    { level: 'info', message: 'two\nlines', count: '3', at: '1970-01-01T00:00:00.000Z' },
  ])
})

test('errors are logged without their causes, which could hold anything', () => {
  const { log, entries, lines } = open()
  const cause = new Error('password=hunter2')
  log.error('failed', { error: new PortError({ code: 'timeout', message: 'no answer', cause }) })
  log.error('failed', { error: new TypeError('a bug', { cause }) })
  expect(entries()).toMatchObject([
    { error: { code: 'timeout' } },
    { error: { name: 'TypeError', message: 'a bug' } },
  ])
  expect(lines.join('')).not.toContain('hunter2')
})

test('of the calls on services, those that failed are logged', () => {
  const { log, entries } = open()
  const event = {
    service: 'mail',
    port: 'mailer',
    operation: 'send',
    subject: 'ada@example.org',
    attempts: 2,
    startedAt: new Date(0),
    durationMs: 12.3,
  }
  logFailures(log)({ ...event, error: undefined })
  logFailures(log)({ ...event, error: new PortError({ code: 'unavailable', message: 'down' }) })
  expect(entries()).toMatchObject([
    { level: 'warn', service: 'mail', operation: 'send', code: 'unavailable', attempts: 2, durationMs: 12 },
  ])
  // An address is a person's; the log has no need of it.
  expect(JSON.stringify(entries())).not.toContain('ada@')
})
