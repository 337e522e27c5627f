import { spawnSync } from 'node:child_process'
import { parseEnv } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { services as shop } from '../../cli/fixtures/shop.ts'
import { readConfig } from '../../services/config.ts'
import type { BoundedService, Services } from '../../services/declare.ts'
import { pinnedServices } from './containers.ts'
import { exportFormats } from './formats.ts'
import { hasRegion, regionDrift, wholeFile, withRegion } from './region.ts'

const render = (format: string, services: Services = shop): readonly string[] =>
  exportFormats[format]?.render(services) ?? []

/** The declaration with another pin of its first service. */
function pinned(version: string, engine = 'postgresql'): Services {
  const { orders } = shop
  return {
    ...shop,
    orders: { ...orders, version, adapters: [{ ...orders.adapters[0], engine }] } as BoundedService<object>,
  }
}

describe('the exported pins', () => {
  test.each(Object.keys(exportFormats))(
    'of %s change with the pin, and are the same for the same',
    (format) => {
      expect(render(format, pinned('17.9'))).not.toEqual(render(format))
      expect(render(format, pinned('17.10'))).toEqual(render(format))
    },
  )

  test.each(['compose', 'github', 'gitlab', 'dockerfile'])('of %s name the official images', (format) => {
    const text = render(format).join('\n')
    expect(text).toContain('postgres:17.10')
    expect(text).toContain('redis:7.0')
    const valkey = {
      sessions: {
        ...shop.sessions,
        version: '8.1',
        adapters: [{ ...shop.sessions.adapters[0], engine: 'valkey' }],
      },
    }
    expect(render(format, valkey as never).join('\n')).toContain('valkey/valkey:8.1')
  })

  test('give each server a port of its own on the host', () => {
    const twice = { ...shop, archive: shop.orders, moreSessions: shop.sessions }
    const ports = pinnedServices(twice).map(({ name, container }) => [name, container?.hostPort])
    expect(ports).toEqual([
      ['orders', 5432],
      ['sessions', 6379],
      ['archive', 5433],
      ['more-sessions', 6380],
    ])
  })

  test.each([
    ['github', '127.0.0.1'],
    ['gitlab', 'orders'],
  ])('of %s hand the app URLs that its own configuration takes', (format, host) => {
    const lines = render(format)
    const env = Object.fromEntries(
      lines.flatMap((line) => {
        const [, name, value] = /^ {2}([A-Z_]+): (".*")$/.exec(line) ?? []
        return name === undefined || value === undefined ? [] : [[name, JSON.parse(value) as string]]
      }),
    )
    const config = readConfig(shop, { env, args: [] })
    const orders = config.services.get('orders')
    expect(orders?.implementation === 'real' && orders.url.host).toBe(host)
    expect(config.externals).toBe('fake')
  })

  test('as an example of .env hold a configuration that is accepted', () => {
    const env = Object.fromEntries(
      render('env').flatMap((line) => {
        const [, name, value] = /^([A-Z_]+)=(.*)$/.exec(line) ?? []
        return name === undefined ? [] : [[name, value]]
      }),
    )
    expect(readConfig(shop, { env, args: [] }).services.get('mail')).toEqual({ implementation: 'fake' })
  })

  test('as .env lead to the servers of the Compose file', () => {
    const env = parseEnv(render('env').join('\n'))
    const urls = pinnedServices(shop).map(({ container }) => [
      container?.variable ?? '',
      container?.url('127.0.0.1', container.hostPort),
    ])
    expect(env).toEqual({ PORTSIDE_EXTERNALS: 'fake', ...Object.fromEntries(urls) })
  })

  test('as .env say the same to a shell and to Node, whatever is in a URL', () => {
    const hostile = "redis://a:b'c$HOME`d`@localhost/0?x=1&y=~;z=#*"
    const { sessions } = shop
    const declared = {
      sessions: {
        ...sessions,
        adapters: [{ ...sessions.adapters[0], engine: 'other', example: hostile }],
      } as unknown as BoundedService<object>,
    }
    const text = render('env', declared).join('\n')
    const sourced = spawnSync('/bin/sh', ['-c', `set -eu\n${text}\nprintf %s "$SESSIONS_URL"`], {
      encoding: 'utf8',
    })
    expect(sourced).toMatchObject({ status: 0, stderr: '', stdout: hostile.replace("'", '%27') })
    expect(parseEnv(text).SESSIONS_URL).toBe(sourced.stdout)
  })

  test.each([
    ['16.4', '--locale=C.UTF-8', '/var/lib/postgresql/data'],
    ['18.1', '--locale-provider=builtin', '/var/lib/postgresql"'],
  ])('set up PostgreSQL %s as its major version has it', (version, locale, folder) => {
    const text = render('compose', pinned(version)).join('\n')
    expect(text).toContain(locale)
    expect(text).toContain(folder)
  })

  test.each(['compose', 'github', 'gitlab'])('of %s say so where no image is known', (format) => {
    const text = render(format, pinned('2', 'cockroachdb')).join('\n')
    expect(text).toContain('# orders: no official image of cockroachdb 2 is known')
    expect(text).not.toContain('postgres:')
  })

  test.each(Object.keys(exportFormats))('of %s are right for a declaration without a datastore', (format) => {
    expect(render(format, {}).join('\n')).not.toContain('undefined')
  })
})

const line = fc.stringMatching(/^[a-z: #"-]{0,12}$/)
const lines = fc.array(line, { maxLength: 6 })
const rest = fc.array(
  line.filter((text) => !text.includes('portside')),
  { maxLength: 6 },
)

describe('a region between marks', () => {
  test('is changed alone, at its own indentation, and then is as declared', () => {
    fc.assert(
      fc.property(
        rest,
        rest,
        lines,
        lines,
        fc.constantFrom('', '  ', '\t'),
        (before, after, old, body, indent) => {
          const marked = wholeFile('env', old)
            .trimEnd()
            .split('\n')
            .map((each) => indent + each)
          const file = [...before, ...marked, ...after].join('\n')
          const written = withRegion(file, 'env', body)
          expect(regionDrift(written, 'env', body)).toEqual([])
          expect(withRegion(written, 'env', body)).toBe(written)
          const out = written.split('\n')
          expect(out.slice(0, before.length)).toEqual(before)
          expect(out.slice(out.length - after.length)).toEqual(after)
        },
      ),
    )
  })

  test('tells of every line that was changed by hand', () => {
    const file = wholeFile('env', ['A=1', 'B=2']).replace('B=2', 'B=3')
    expect(regionDrift(file, 'env', ['A=1', 'B=2'])).toEqual(['- B=3', '+ B=2'])
    expect(regionDrift(file, 'env', ['B=3', 'A=1'])).toEqual(['the same lines in another order'])
  })

  test('keeps the line ends of a file from Windows', () => {
    const file = wholeFile('env', ['A=1']).replaceAll('\n', '\r\n')
    expect(regionDrift(file, 'env', ['A=1'])).toEqual([])
    expect(withRegion(file, 'env', ['A=2'])).toBe(file.replace('A=1', 'A=2'))
  })

  test('is found by its format', () => {
    const file = wholeFile('env', []) + wholeFile('compose', ['x: 1'])
    expect(hasRegion(file, 'env')).toBe(true)
    expect(hasRegion(file, 'github')).toBe(false)
    expect(withRegion(file, 'compose', ['x: 2'])).toBe(file.replace('x: 1', 'x: 2'))
  })

  test.each([
    ['that is not there', 'A=1\n', /has no line/],
    ['without an end', '# portside:begin env\nA=1\n', /has no "# portside:end"/],
    [
      'that begins again before its end',
      '# portside:begin env\n# portside:begin env\n# portside:end\n',
      /no "# portside:end"/,
    ],
    ['that is there twice', wholeFile('env', []) + wholeFile('env', []), /twice/],
  ])('%s changes nothing and says so', (_, text, message) => {
    expect(() => withRegion(text, 'env', [])).toThrow(message)
    expect(() => regionDrift(text, 'env', [])).toThrow(message)
  })
})
