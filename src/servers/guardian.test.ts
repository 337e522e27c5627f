import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { run } from './command.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-guardian-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

describe('a guardian', () => {
  test("lets what it guards live as long as its owner, also where the system's tools are not on the PATH", async () => {
    vi.stubEnv('PATH', folder)
    // Longer than a guardian takes to begin.
    const script = "setTimeout(() => console.log('in its own time'), 1_500)"
    expect(await run(process.execPath, ['-e', script], { guarded: true })).toBe('in its own time\n')
  })
})
