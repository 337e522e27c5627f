import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const samples = [...readme.matchAll(/<!-- file: (\S+) -->\n```ts\n([\s\S]*?)```/g)]
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

describe('README', () => {
  test('every TypeScript sample is a file that the tests run', () => {
    expect(samples.length).toBeGreaterThanOrEqual(5)
    expect(samples).toHaveLength([...readme.matchAll(/^```ts$/gm)].length)
  })

  test.each(samples.map(([, file = '', code = '']) => ({ file, code })))('shows $file as it is', (sample) => {
    expect(sample.code).toBe(readFileSync(join(root, sample.file), 'utf8'))
  })

  test('names only scripts that exist', () => {
    const named = [...readme.matchAll(/npm (?:run )?(demo|test|start|\w+(?=\s+#))/g)].map(([, name]) => name)
    expect(named).toContain('demo')
    for (const name of named) if (name !== 'ci') expect(scripts).toHaveProperty([name ?? ''])
  })
})
