/** What someone is told who gets a command wrong: the mistake in their own words, and the way on; never where in our code. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { nearest } from './arguments.ts'
import { endPrograms, startProgram } from './fixtures/program.ts'
import { run } from './run.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-messages-'))
  vi.spyOn(process, 'cwd').mockReturnValue(folder)
  mkdirSync(join(folder, 'a folder'))
  const declarations = { empty: 'export const services = {}', other: 'export const service = {}' }
  for (const [name, text] of Object.entries(declarations)) writeFileSync(join(folder, `${name}.ts`), text)
})
afterEach(endPrograms)
afterAll(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true, maxRetries: 5 })
})

async function told(args: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  const lines: string[] = []
  const say = (line: string): void => void lines.push(line)
  // A path of the test's own folder is written as it is there.
  const inFolder = args.map((each) => each.replace('@', `${folder}/`))
  const code = await run(inFolder, { print: say, tell: say })
  return { code, text: lines.join('\n') }
}

test.each([
  [['start'], 2, /there is no command "start"\. There are dev, up, down, status/],
  [['Up'], 2, /no command "Up"; is up meant\?/],
  [['statsu'], 2, /no command "statsu"; is status meant\?/],
  [['up', '--service', 'x'], 2, /there is no option --service; is --services meant\?\nusage: portside up/],
  [['up', '--accept'], 2, /there is no option --accept; is --accept-changes meant\?/],
  [['up', '-d'], 2, /there is no option -d\nusage/],
  [['up', 'all'], 2, /"all" is one word too many/],
  [['up', '--services'], 2, /--services needs a value/],
  [['up', '--services', '--directory'], 2, /--services needs a value/],
  [['status', '--json=yes'], 2, /--json takes no value/],
  [['up', '--services', '@nowhere.ts'], 2, /there is no .*nowhere\.ts; --services names the module/],
  [['up', '--services', '@a folder'], 2, /a folder is no file; --services names the module/],
  [['up', '--services', '@other.ts'], 2, /exports no "services"; write: export const services/],
  [['up', '--services', '@empty.ts'], 0, /has no services: nothing to start/],
  [['up', '--services', '@empty.ts', '--directory', ''], 2, /--directory needs the path of a folder/],
  [['up', '--services', '@empty.ts', '--directory', '@empty.ts'], 2, /empty\.ts is no folder/],
  [['down', '--directory', '@empty.ts'], 2, /empty\.ts is no folder/],
  [['down', '--directory', '@nowhere'], 0, /nothing was running in .*nowhere/],
  [['status', '--directory', '@nowhere'], 1, /there is no server in .*nowhere; portside up starts/],
  [['reset', '-y'], 2, /there is no option -y\nusage: portside reset .*--yes/],
  [
    ['reset', 'redis-7', '--directory', '@nowhere'],
    1,
    /there is no server redis-7 in .*nowhere; there is none/,
  ],
  [['dev'], 2, /the program to run comes after --: portside dev -- node main\.ts/],
  [['dev', 'node', 'main.ts'], 2, /the program to run comes after --/],
  [
    ['dev', '--services', '@empty.ts', '--', 'no-such-program'],
    127,
    /no program "no-such-program" on the PATH$/,
  ],
  [['dev', '--services', '@empty.ts', '--', 'npm run dev'], 127, /words of their own: -- npm run dev/],
  [['dev', '--services', '@empty.ts', '--', './no-such-program'], 127, /no program "\.\/no-such-program"$/],
  [
    ['dev', '--services', '@empty.ts', '--', '@empty.ts'],
    126,
    /EACCES.*run what runs it, as in -- node main\.ts/,
  ],
  [['migrate', '--services', '@empty.ts', 'now'], 2, /"now" is one word too many/],
] as [string[], number, RegExp][])('%j', async (args, code, message) => {
  const ended = await told(args)
  expect(ended.text).toMatch(message)
  expect(ended.code).toBe(code)
  expect(ended.text).not.toMatch(/node:internal|src\/cli|undefined/)
})

// By a program of its own: tests are loaded in another way.
test.each([
  ['is not finished', 'export const services = {', /SyntaxError/],
  ['has what Node does not run', 'enum Colour { Red }\nexport const services = {}', /enum is not supported/],
  ['needs what is not installed', "import 'no-such-package'\nexport const services = {}", /no-such-package/],
  [
    'throws',
    "function boom() { throw new Error('no settings') }\nboom()",
    /no settings\n {4}at boom .*throws\.ts:1/,
  ],
])('a declaration that %s: what, and where in it', async (_, text, message) => {
  const file = join(folder, 'throws.ts')
  writeFileSync(file, text)
  const { code, err } = await startProgram(['check', '--services', file], { cwd: folder }).ended
  expect(err).toContain(`${file} cannot be loaded:\n`)
  expect(err).toMatch(message)
  expect(err).not.toMatch(/node:internal|src\/cli/)
  expect(code).toBe(1)
})

test('a service that no one told the URL of: of those that are up, it is one command away', async () => {
  const declaration = new URL('./fixtures/services.ts', import.meta.url).pathname
  const { code, text } = await told(['check', '--services', declaration])
  expect(code).toBe(1)
  expect(text).toMatch(/ORDERS_URL is not set[\s\S]*eval "\$\(portside env\)"/)
})

test.each([
  ['servces', 'services'],
  ['SERVICES', 'services'],
  ['serv', 'services'],
  ['yes', undefined],
  ['', undefined],
  ['directories', undefined],
])('of the words there are, %j is nearest to %j', (word, found) => {
  expect(nearest(word, ['services', 'directory', 'up'])).toBe(found)
})
