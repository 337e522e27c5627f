import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ServiceUrl } from 'portside'
import { postgres } from 'portside/adapters/postgres'
import { redis } from 'portside/adapters/redis'
import { s3 } from 'portside/adapters/s3'
import { smtp } from 'portside/adapters/smtp'
import { x } from 'portside/adapters/x'
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

  test('shows for each adapter a URL that it takes', () => {
    const urls = [...readme.matchAll(/`([a-z0-9]+:\/\/[^`<>]+)`/g)].map(([, url = '']) => url)
    for (const adapter of [postgres, redis, s3, smtp, x]) {
      const own = urls.filter((url) => adapter.schemes.includes(url.slice(0, url.indexOf(':'))))
      expect(own).not.toEqual([])
      for (const text of own) {
        const parsed = ServiceUrl.parse(text, adapter.parameters)
        expect(parsed.problems).toEqual([])
        if ('url' in parsed) expect(adapter.validate?.(parsed.url)).toEqual([])
      }
    }
  })

  test('names only scripts that exist', () => {
    const named = [...readme.matchAll(/npm (?:run )?(demo|test|start|\w+(?=\s+#))/g)].map(([, name]) => name)
    expect(named).toContain('demo')
    for (const name of named) if (name !== 'ci') expect(scripts).toHaveProperty([name ?? ''])
  })
})
