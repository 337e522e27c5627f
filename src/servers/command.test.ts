import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { run } from './command.ts'

test('an aborted command is not waited for, though a process that it started still holds its output', async () => {
  const abort = new AbortController()
  const grandchildMs = 6_000
  const running = run('sh', ['-c', `sleep ${grandchildMs / 1_000}; echo late`], { signal: abort.signal })
  const ended = running.catch((error: Error) => error.message)
  await sleep(100)
  abort.abort(new Error('enough'))
  expect(await Promise.race([ended, sleep(grandchildMs / 2, 'the grandchild was waited for')])).toBe('enough')
})
