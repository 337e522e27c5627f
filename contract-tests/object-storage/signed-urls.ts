/** What holds for signed URLs, used by a bare HTTP client. */
import assert from 'node:assert/strict'
import type { ObjectStorage, SignUrlOptions } from '../../src/ports/object-storage.ts'
import { expectPortError } from '../expect.ts'
import { type ObjectBehaviour, textAt } from './samples.ts'

const minute = 60_000
const capability = 'signed-urls'
const undeclared = ({ port }: { readonly port: ObjectStorage }): Promise<URL> =>
  port.signUrl('key', { expiresInMs: minute })

const keys = [
  'plain.txt',
  '/leading',
  'a//b',
  'dir/é +%&?#\'"<>;=@,$!*()\\.txt',
  '日本/👍',
  'tab\t\u0001',
  'k'.repeat(1_024),
]

/** The statuses with which S3 and its like refuse a URL. */
function assertRefused(response: Response): void {
  assert.ok([400, 403, 404, 405].includes(response.status), `status ${response.status}`)
}

/** What someone may try who has one URL and wants more than it is good for. */
function alterations(url: URL): (readonly [what: string, bad: URL | string])[] {
  const changed = (change: (bad: URL) => void): URL => {
    const bad = new URL(url)
    change(bad)
    return bad
  }
  const names = [...url.searchParams.keys()]
  assert.ok(names.length >= 2)
  const path = url.pathname.slice(0, url.pathname.lastIndexOf('folder/mine'))
  const at = (key: string): string => `${url.origin}${path}${key}${url.search}`
  return [
    ['no query', `${url.origin}${url.pathname}`],
    ...names.flatMap((name) => {
      const value = url.searchParams.get(name) ?? ''
      return [
        [`without ${name}`, changed((bad) => bad.searchParams.delete(name))],
        [`${name} empty`, changed((bad) => bad.searchParams.set(name, ''))],
        [
          `${name} longer`,
          changed((bad) => bad.searchParams.set(name, `${value}${/^\d+$/.test(value) ? 0 : 'x'}`)),
        ],
        [`${name} other`, changed((bad) => bad.searchParams.set(name, otherThan(value)))],
      ] as const
    }),
    [
      'added response-content-type',
      changed((bad) => bad.searchParams.append('response-content-type', 'text/html')),
    ],
    ['added uploads', changed((bad) => bad.searchParams.append('uploads', ''))],
    ['added acl', changed((bad) => bad.searchParams.append('acl', ''))],
    ['added tagging', changed((bad) => bad.searchParams.append('tagging', ''))],
    ['another key', at('folder/yours')],
    ['a key above', at('mine')],
    ['a key below', at('folder/mine/below')],
    ['dots', at('folder/x/..%2Fyours')],
    ['a doubled slash', at('folder//mine')],
    ['other case', at('folder/Mine')],
    ['the folder', at('folder/')],
    ['the bucket', at('')],
  ]
}

/** The same text with one character in the middle changed to another of its kind. */
function otherThan(value: string): string {
  const middle = Math.floor(value.length / 2)
  const character = value[middle] ?? ''
  const other = /[0-8a-eA-Y]/.test(character) ? String.fromCharCode(character.charCodeAt(0) + 1) : '0'
  return value.slice(0, middle) + other + value.slice(middle + 1)
}

export const signedUrls: readonly ObjectBehaviour[] = [
  {
    id: 'signed-url/get',
    sentence: 'A URL for GET answers the object with its attributes, and ranges of it.',
    capability,
    undeclared,
    async check({ port }) {
      for (const key of keys) {
        await port.put(key, `content of ${key}`, { contentType: 'text/plain', metadata: { a: 'b' } })
        const url = await port.signUrl(key, { expiresInMs: minute })
        const response = await fetch(url)
        assert.equal(await response.text(), `content of ${key}`)
        assert.equal(response.status, 200)
        assert.equal(response.headers.get('content-type'), 'text/plain')
        assert.equal(response.headers.get('x-amz-meta-a'), 'b')
        assert.equal(response.headers.get('etag'), (await port.head(key))?.etag)
        const part = await fetch(url, { headers: { range: 'bytes=0-6' } })
        assert.deepEqual([part.status, await part.text()], [206, 'content'])
      }
    },
  },
  {
    id: 'signed-url/put',
    sentence: 'A URL for PUT stores what is sent, as often as it is used.',
    capability,
    undeclared,
    async check({ port }) {
      for (const key of keys) {
        const url = await port.signUrl(key, { expiresInMs: minute, method: 'PUT' })
        for (const body of ['first', 'the second one']) {
          const response = await fetch(url, { method: 'PUT', body })
          assert.equal(response.status, 200, await response.text())
          assert.equal(await textAt(port, key), body)
        }
      }
    },
  },
  {
    id: 'signed-url/head-and-delete',
    sentence: 'URLs for HEAD and DELETE do that and nothing else.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('there', 'content')
      const head = await fetch(await port.signUrl('there', { expiresInMs: minute, method: 'HEAD' }), {
        method: 'HEAD',
      })
      assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '7', ''])
      const url = await port.signUrl('there', { expiresInMs: minute, method: 'DELETE' })
      assert.equal((await fetch(url, { method: 'DELETE' })).status, 204)
      assert.equal(await port.head('there'), undefined)
      assert.equal((await fetch(url, { method: 'DELETE' })).status, 204)
    },
  },
  {
    id: 'signed-url/missing-key',
    sentence: 'Signing a missing key is possible; reading it answers 404 until it is there.',
    capability,
    undeclared,
    async check({ port }) {
      const url = await port.signUrl('later', { expiresInMs: minute })
      assert.equal((await fetch(url)).status, 404)
      await port.put('later', 'now')
      assert.equal(await (await fetch(url)).text(), 'now')
    },
  },
  {
    id: 'signed-url/other-method-is-refused',
    sentence: 'A URL works with the method it was signed for only.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('guarded', 'content')
      const methods = ['GET', 'PUT', 'DELETE'] as const
      for (const method of methods) {
        const url = await port.signUrl('guarded', { expiresInMs: minute, method })
        for (const other of methods) {
          if (other === method) continue
          const response = await fetch(url, { method: other, ...(other === 'PUT' ? { body: 'evil' } : {}) })
          assertRefused(response)
          await response.body?.cancel()
        }
      }
      assert.equal(await textAt(port, 'guarded'), 'content')
    },
  },
  {
    id: 'signed-url/altered-is-refused',
    sentence:
      'A URL without its signature, or with key, expiry, signature or anything else altered, added or left out, is refused.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('folder/mine', 'content')
      await port.put('folder/yours', 'secret')
      await port.put('mine', 'secret')
      const url = await port.signUrl('folder/mine', { expiresInMs: minute })
      for (const [what, bad] of alterations(url)) {
        const response = await fetch(bad)
        const text = await response.text()
        assert.ok([400, 403, 404, 405].includes(response.status), `${what}: status ${response.status}`)
        assert.ok(!text.includes('secret') && text !== 'content', what)
      }
      assert.equal(await (await fetch(url)).text(), 'content')
    },
  },
  {
    id: 'signed-url/altered-writes-are-refused',
    sentence:
      'A URL for PUT or DELETE that was altered in any way writes and deletes nothing, there or elsewhere.',
    capability,
    undeclared,
    async check({ port }) {
      const kept = ['folder/mine', 'folder/yours', 'mine']
      for (const key of kept) await port.put(key, 'content')
      for (const method of ['PUT', 'DELETE'] as const) {
        const url = await port.signUrl('folder/mine', { expiresInMs: minute, method })
        for (const [what, bad] of alterations(url)) {
          const response = await fetch(bad, { method, ...(method === 'PUT' ? { body: 'evil' } : {}) })
          await response.body?.cancel()
          assert.ok([400, 403, 404, 405].includes(response.status), `${what}: status ${response.status}`)
        }
      }
      const left = await port.list()
      assert.deepEqual(
        left.objects.map(({ key }) => key),
        kept,
      )
      for (const key of kept) assert.equal(await textAt(port, key), 'content')
    },
  },
  {
    id: 'signed-url/get-is-no-head-of-another',
    sentence: 'What a URL for HEAD tells, it tells of its own key only, and it gives no content.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('mine', 'content')
      await port.put('yours', 'other content')
      const url = await port.signUrl('mine', { expiresInMs: minute, method: 'HEAD' })
      const other = new URL(url)
      other.pathname = other.pathname.replace('mine', 'yours')
      assertRefused(await fetch(other, { method: 'HEAD' }))
      const read = await fetch(url)
      assertRefused(read)
      assert.notEqual(await read.text(), 'content')
    },
  },
  {
    id: 'signed-url/any-content-type',
    sentence: 'A URL for PUT without a content type takes any, and stores what was sent.',
    capability,
    undeclared,
    async check({ port }) {
      const url = await port.signUrl('typed', { expiresInMs: minute, method: 'PUT' })
      for (const contentType of ['image/png', 'text/plain; charset=utf-8']) {
        const headers = { 'content-type': contentType }
        assert.equal((await fetch(url, { method: 'PUT', body: 'x', headers })).status, 200)
        assert.equal((await port.head('typed'))?.contentType, contentType)
      }
    },
  },
  {
    id: 'signed-url/longest-expiry-works',
    sentence: 'A URL that is good for seven days, the most there is, works.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('long', 'content')
      const url = await port.signUrl('long', { expiresInMs: 7 * 86_400_000 })
      assert.equal(await (await fetch(url)).text(), 'content')
    },
  },
  {
    id: 'signed-url/shows-no-secret',
    sentence: 'A URL holds its signature, never the secret that made it.',
    capability,
    undeclared,
    needs: ['canaries'],
    async check({ port, canaries = [] }) {
      for (const method of ['GET', 'PUT', 'HEAD', 'DELETE'] as const) {
        const { href } = await port.signUrl('key', { expiresInMs: minute, method })
        for (const canary of canaries) {
          assert.ok(!href.includes(canary) && !decodeURIComponent(href).includes(canary))
        }
      }
    },
  },
  {
    id: 'signed-url/content-type',
    sentence: 'A URL for PUT with a content type takes that one only, and stores it.',
    capability,
    undeclared,
    async check({ port }) {
      const url = await port.signUrl('typed', {
        expiresInMs: minute,
        method: 'PUT',
        contentType: 'image/png',
      })
      const put = (headers: Record<string, string>): Promise<Response> =>
        fetch(url, { method: 'PUT', body: Uint8Array.of(1), headers })
      assertRefused(await put({ 'content-type': 'text/html' }))
      assertRefused(await put({}))
      assert.equal(await port.head('typed'), undefined)
      assert.equal((await put({ 'content-type': 'image/png' })).status, 200)
      assert.equal((await port.head('typed'))?.contentType, 'image/png')
    },
  },
  {
    id: 'signed-url/expires',
    sentence: 'After its expiry a URL is refused.',
    capability,
    undeclared,
    needs: ['passTime'],
    async check({ port, passTime }) {
      await port.put('short', 'content')
      const url = await port.signUrl('short', { expiresInMs: 2_000 })
      assert.equal(await (await fetch(url)).text(), 'content')
      await passTime?.(3_500)
      const response = await fetch(url)
      assert.equal(response.status, 403)
      assert.match(await response.text(), /<Code>AccessDenied<\/Code>/)
    },
  },
  {
    id: 'signed-url/bad-arguments-are-refused',
    sentence:
      'An expiry outside 1 second to 7 days, another method, or a key that no URL can carry is refused.',
    capability,
    undeclared,
    async check({ port }) {
      const refused = async (key: string, options: unknown): Promise<void> => {
        await expectPortError(port.signUrl(key, options as SignUrlOptions), 'invalid-argument')
      }
      for (const expiresInMs of [
        undefined,
        0,
        -1,
        999,
        7 * 86_400_000 + 1,
        1_500.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        '60',
      ]) {
        await refused('key', { expiresInMs })
      }
      await refused('key', undefined)
      await refused('key', { expiresInMs: minute, method: 'POST' })
      await refused('key', { expiresInMs: minute, contentType: 'image/png' })
      await refused('key', { expiresInMs: minute, method: 'PUT', contentType: 'a\r\nb' })
      for (const key of ['.', 'a/../b', 'a/./b', '']) await refused(key, { expiresInMs: minute })
      await port.signUrl('key', { expiresInMs: 7 * 86_400_000 })
      await port.signUrl('key', { expiresInMs: 1_000 })
    },
  },
]
