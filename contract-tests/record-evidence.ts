/**
 * Records this repository's own evidence: runs the contracts on every subject that has an id, and writes
 * `contract-tests/evidence/<subject>.json`. A run with a failure records nothing.
 *
 *   node contract-tests/record-evidence.ts [--s3] [--smtp] [VITEST ARGUMENTS]
 *
 * `--s3` and `--smtp` also start Ceph's gateway and Exim (`real-s3/run.sh`, `real-smtp/run.sh`) and record those.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contractOf } from '../src/cli/rooms.ts'
import { version } from '../src/cli/version.ts'
import { makeEvidence, writeEvidence } from './evidence.ts'
import { readRuns, runsVariable } from './record.ts'

const root = join(import.meta.dirname, '..')
const own = ['--s3', '--smtp']
const asked = process.argv.slice(2)
const others = asked.filter((arg) => !own.includes(arg))
const runs = mkdtempSync(join(tmpdir(), 'portside-evidence-'))

function run(command: string, args: readonly string[]): void {
  const env = { ...process.env, [runsVariable]: runs }
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 2, 2] })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: nothing is recorded`)
}

try {
  mkdirSync(runs, { recursive: true })
  const files = ['sql-database', 'key-value-store', 'object-storage', 'mailer', 'social-publisher'].map(
    (port) => `contract-tests/${port}`,
  )
  // What only one of them covers is named instead.
  const chosen = others.length === 0 ? files : others
  run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...chosen])
  if (asked.includes('--s3')) run('contract-tests/real-s3/run.sh', [])
  if (asked.includes('--smtp')) run('contract-tests/real-smtp/run.sh', [])
  for (const { port, ...found } of readRuns(runs)) {
    const contract = await contractOf(port)
    if (contract === undefined) throw new Error(`"${port}" has no contract here`)
    const evidence = makeEvidence({ contract, ...found, portside: version(), date: new Date() })
    process.stdout.write(`${writeEvidence(evidence, join(import.meta.dirname, 'evidence'))}\n`)
  }
} finally {
  rmSync(runs, { recursive: true, force: true })
}
