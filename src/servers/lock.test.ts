import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Holder, type Lock, takeLock } from './lock.ts'
import { identifyProcess } from './processes.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-lock-'))
  path = join(folder, 'lock')
})
afterEach(() => rmSync(folder, { recursive: true }))

function isLock(taken: Lock | Holder): taken is Lock {
  return 'release' in taken
}

test('one of many gets it, the others learn who has it', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => takeLock(path, { waitMs: 0 })))
  expect(all.filter(isLock)).toHaveLength(1)
  for (const other of all) if (!isLock(other)) expect(other.holder).toEqual(identifyProcess(process.pid))
  all.find(isLock)?.release()
  expect(readdirSync(folder)).toEqual([])
})

test('one who waits gets it when it is released, and a second release does not take it away', async () => {
  const first = (await takeLock(path, { waitMs: 0 })) as Lock
  const waiting = takeLock(path, { waitMs: 10_000 })
  first.release()
  expect(isLock(await waiting)).toBe(true)
  first.release()
  expect(isLock(await takeLock(path, { waitMs: 0 }))).toBe(false)
})

test('waiting ends with the signal', async () => {
  await takeLock(path, { waitMs: 0 })
  const controller = new AbortController()
  const waiting = takeLock(path, { waitMs: 60_000, signal: controller.signal })
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
})

test.each([
  ['of a process that is gone', { pid: 2 ** 22 + 1, startedAt: '1' }],
  ['of an earlier process with a living one’s id', { pid: process.pid, startedAt: '1' }],
  ['that holds nothing of use', 'rubbish'],
])('a lock %s is void, and still only one gets it', async (_, content) => {
  writeFileSync(path, JSON.stringify(content))
  const all = await Promise.all(Array.from({ length: 20 }, () => takeLock(path, { waitMs: 0 })))
  expect(all.filter(isLock)).toHaveLength(1)
})

test('processes that find a void lock at the same moment get it one after another', async () => {
  const script = join(folder, 'take.ts')
  writeFileSync(
    script,
    `import { appendFileSync } from 'node:fs'
     import { takeLock } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)}
     for (let round = 0; round < 20; round += 1) {
       const lock = await takeLock(${JSON.stringify(path)}, { waitMs: 60_000 })
       appendFileSync(${JSON.stringify(join(folder, 'journal'))}, 'in\\n')
       await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
       appendFileSync(${JSON.stringify(join(folder, 'journal'))}, 'out\\n')
       if (round % 5 === 4) break // and dies with the lock held
       lock.release()
     }`,
  )
  writeFileSync(path, JSON.stringify({ pid: 2 ** 22 + 1, startedAt: '1' }))
  const children = Array.from({ length: 4 }, () => spawn(process.execPath, [script], { stdio: 'inherit' }))
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))
  expect(codes).toEqual([0, 0, 0, 0])
  const { readFileSync } = await import('node:fs')
  const journal = readFileSync(join(folder, 'journal'), 'utf8').trim().split('\n')
  expect(journal).toHaveLength(4 * 5 * 2)
  expect(journal.every((line, index) => line === (index % 2 === 0 ? 'in' : 'out'))).toBe(true)
})
