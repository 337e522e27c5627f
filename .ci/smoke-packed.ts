/**
 * Installs the packed tarball in an empty project with one vendor only and imports every entry, as a stranger
 * would; then type-checks a small program against it.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const project = mkdtempSync(join(tmpdir(), 'portside-smoke-'))
const run = (command: string, args: readonly string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

/** Every entry of `exports`, patterns filled in from the built files. */
function entries(): string[] {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { default: string }>
  }
  return Object.entries(exports).flatMap(([entry, target]) => {
    if (typeof target === 'string') return []
    if (!entry.includes('*')) return [entry]
    const [before = '', after = ''] = target.default.split('*')
    const names = readdirSync(join(root, before))
      .map((name) => (after.includes('/') ? name : name.endsWith(after) ? name.slice(0, -after.length) : ''))
      .filter((name) => name !== '')
    return names.map((name) => entry.replace('*', name))
  })
}

try {
  run('npm', ['pack', '--silent', '--pack-destination', project], root)
  const tarball = readdirSync(project).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error('npm pack made no tarball')
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name: 'smoke', private: true, type: 'module' }),
  )
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', `./${tarball}`, 'pg@8'], project)
  // Those that are made for a test runner or a container need just that, and say so when it is missing.
  const needing = new Map([
    ['./testing/vitest', 'vitest'],
    ['./contract-tests/vitest', 'vitest'],
    ['./inversify', 'inversify'],
  ])
  let imported = 0
  for (const entry of entries()) {
    const name = `portside${entry.slice(1)}`
    const missing = needing.get(entry)
    const script =
      missing === undefined
        ? `const m = await import('${name}'); if (Object.keys(m).length === 0) throw new Error('${name} exports nothing')`
        : `await import('${name}').then(() => { throw new Error('${name} loaded without ${missing}') }, (e) => { if (!String(e).includes("'${missing}'")) throw e })`
    run(process.execPath, ['--input-type=module', '--eval', script], project)
    imported += 1
  }
  if (imported < 10) throw new Error(`only ${imported} entries were found: the list is wrong`)
  run(process.execPath, ['node_modules/portside/dist/src/cli/main.js', '--version'], project)
  process.stdout.write(`${imported} entries of the packed tarball load in an empty project with pg alone\n`)
} finally {
  rmSync(project, { recursive: true, force: true })
}
