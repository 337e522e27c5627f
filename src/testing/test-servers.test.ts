import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

let directory: string
const children: ChildProcess[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'portside-test-servers-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  // The servers in it stop when it is gone.
  rmSync(directory, { recursive: true, maxRetries: 10, retryDelay: 100 })
})

/** A process with tests, which ends by itself or holds on to what it has. */
function start(lingerMs: number, ...more: readonly string[]): ChildProcess {
  const file = fileURLToPath(new URL('./fixtures/isolation/servers.ts', import.meta.url))
  // Named from the working directory, as by default.
  const child = spawn(process.execPath, [file, 'tests', String(lingerMs), ...more], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}

async function envOf(child: ChildProcess): Promise<Record<'NOTES_URL' | 'SESSIONS_URL', string>> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    return JSON.parse(line) as Record<'NOTES_URL' | 'SESSIONS_URL', string>
  }
  return expect.fail('it ended without a word')
}

const portsOf = (env: Record<string, string>): number[] =>
  Object.values(env).map((url) => Number(new URL(url).port))

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

test('processes that come at once share one server of each kind, which serves the next one too', async () => {
  const [one, two] = await Promise.all([envOf(start(60_000)), envOf(start(60_000))])
  expect(portsOf(two)).toEqual(portsOf(one))
  expect(new Set([one.NOTES_URL, two.NOTES_URL]).size).toBe(2)
  await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))
  expect(portsOf(await envOf(start(60_000)))).toEqual(portsOf(one))
}, 90_000)

test('servers stop a while after the last user was killed, not before', async () => {
  const [first, second] = [start(1_000, 'hold'), start(1_000, 'hold')]
  const [env] = await Promise.all([envOf(first), envOf(second)])
  first.kill('SIGKILL')
  await once(first, 'exit')
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  for (const port of portsOf(env)) expect(await listens(port)).toBe(true)
  second.kill('SIGKILL')
  await once(second, 'exit')
  for (const port of portsOf(env)) {
    await expect.poll(() => listens(port), { timeout: 30_000, interval: 200 }).toBe(false)
  }
  // And come up again, with the data there is.
  expect(await envOf(start(1_000))).toHaveProperty('NOTES_URL')
}, 120_000)

test.runIf(process.platform === 'linux')(
  'what was not written through is not trusted after the machine went down',
  async () => {
    await envOf(start(60_000))
    const [name = ''] = readdirSync(join(directory, 'tests')).filter(
      (each) => each.startsWith('postgresql') && !each.includes('.boot'),
    )
    const mark = join(directory, 'tests', name, 'mark')
    writeFileSync(mark, '')
    await envOf(start(60_000))
    expect(existsSync(mark)).toBe(true)
    writeFileSync(join(directory, 'tests', `${name}.boot`), 'another run of the machine')
    await envOf(start(60_000))
    expect(existsSync(mark)).toBe(false)
  },
  120_000,
)
