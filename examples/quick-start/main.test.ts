import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const cli = join(root, 'dist/src/cli/main.js')

test('portside dev brings up what the program needs and leaves nothing but .portside behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'portside-quick-start-'))
  try {
    const services = join(import.meta.dirname, 'services.ts')
    const main = join(import.meta.dirname, 'main.ts')
    const command = [cli, 'dev', '--services', services, '--', process.execPath, main]
    const first = await promisify(execFile)(process.execPath, command, { cwd: folder })
    expect(first.stdout).toBe('order 1 taken, mail sent\n')
    // The servers and their data outlive the command.
    const second = await promisify(execFile)(process.execPath, command, { cwd: folder })
    expect(second.stdout).toBe('order 2 taken, mail sent\n')
    expect(await readdir(folder)).toEqual(['.portside'])
  } finally {
    await promisify(execFile)(process.execPath, [cli, 'down'], { cwd: folder })
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
})
