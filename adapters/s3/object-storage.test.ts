/**
 * The adapter on a server that misbehaves as a test says. What S3 itself does is held by the contract on a real
 * server; here is what no real server does on demand.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import { afterEach, describe, expect, test } from 'vitest'
import { expectPortError } from '../../contract-tests/expect.ts'
import { pattern, streamOf } from '../../contract-tests/object-storage/samples.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import { ObjectStorage } from '../../src/ports/object-storage.ts'
import { type S3ObjectStorageOptions, s3ObjectStorage } from './object-storage.ts'

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

type Answer = (seen: Seen, response: ServerResponse) => void

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close()
})

/** A client of a server that answers as `answer` says, and the requests it has seen. */
async function serve(
  answer: Answer,
  options: Partial<S3ObjectStorageOptions> & { readonly checksums?: 'WHEN_SUPPORTED' } = {},
): Promise<{ port: ObjectStorage; guarded: Guarded<ObjectStorage>; seen: Seen[]; server: Server }> {
  const { checksums, ...own } = options
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk)
    } catch {
      // The client broke the request off: there is no one to answer.
      return
    }
    const { method = '', url = '', headers } = request
    const one = { method, url, headers, body: Buffer.concat(chunks) }
    seen.push(one)
    answer(one, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = new S3Client({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: 'KEY', secretAccessKey: 'canary-secret-of-the-test' },
    requestChecksumCalculation: checksums ?? 'WHEN_REQUIRED',
    responseChecksumValidation: checksums ?? 'WHEN_REQUIRED',
  })
  const guarded = guard(ObjectStorage, s3ObjectStorage(client, { bucket: 'bucket', ...own }))
  open.push({
    async close() {
      await guarded.close({ drainMs: 100 })
      client.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  return { port: guarded.port, guarded, seen, server }
}

const ok: Answer = (_, response) => {
  response.writeHead(200, { etag: '"etag"' }).end()
}

function error(status: number, code: string): Answer {
  return (_, response) => {
    response.writeHead(status, { 'content-type': 'application/xml' })
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`)
  }
}

/** Answers an upload in parts; `special` may answer a request otherwise. */
function uploads(special: (seen: Seen, response: ServerResponse) => boolean = () => false): Answer {
  let removed = false
  return (seen, response) => {
    if (special(seen, response)) return
    const query = new URLSearchParams(seen.url.split('?')[1])
    if (seen.method === 'POST' && query.has('uploads')) {
      response.end('<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>')
    } else if (seen.method === 'POST') {
      response.end('<CompleteMultipartUploadResult><ETag>"whole-2"</ETag></CompleteMultipartUploadResult>')
    } else if (seen.method === 'DELETE') {
      if (removed) error(404, 'NoSuchUpload')(seen, response)
      else response.writeHead(204).end()
      removed = true
    } else response.writeHead(200, { etag: `"part-${query.get('partNumber')}"` }).end()
  }
}

const twoParts = pattern(9_000_000)
const calls = (seen: readonly Seen[]): string[] =>
  seen.map(({ method, url }) => `${method} ${url.replace(/&x-id=\w+|x-id=\w+&?/g, '').replace(/\?$/, '')}`)

describe('uploads in parts', () => {
  test('send each part once, in bounded pieces, and complete under the condition', async () => {
    const { port, seen } = await serve(uploads())
    expect(
      await port.put('key', streamOf(twoParts), { ifAbsent: true, contentType: 'a/b', metadata: { m: 'v' } }),
    ).toEqual({
      key: 'key',
      size: twoParts.length,
      etag: '"whole-2"',
    })
    const [create, ...rest] = seen
    const complete = rest.at(-1)
    expect(create?.headers).toMatchObject({ 'content-type': 'a/b', 'x-amz-meta-m': 'v' })
    expect(create?.headers['if-none-match']).toBeUndefined()
    expect(complete?.headers['if-none-match']).toBe('*')
    const parts = rest.slice(0, -1).sort((a, b) => b.body.length - a.body.length)
    expect(parts.map(({ body }) => body.length)).toEqual([8 * 1024 * 1024, twoParts.length - 8 * 1024 * 1024])
    expect(Buffer.compare(Buffer.concat(parts.map(({ body }) => body)), twoParts)).toBe(0)
    expect(complete?.body.toString()).toMatch(/part-1.*<PartNumber>1<.*part-2.*<PartNumber>2</s)
  })

  test('send a part again that the service had no time for', async () => {
    let failures = 2
    const { port, seen } = await serve(
      uploads((one, response) => {
        if (one.method !== 'PUT' || failures === 0) return false
        failures -= 1
        error(503, 'SlowDown')(one, response)
        return true
      }),
    )
    await port.put('key', streamOf(twoParts))
    expect(seen.filter(({ method }) => method === 'PUT')).toHaveLength(4)
  })

  test.each([
    ['a part', (one: Seen) => one.method === 'PUT' && one.url.includes('partNumber=2')],
    ['the completion', (one: Seen) => one.method === 'POST' && one.url.includes('uploadId')],
  ])('whose failure is %s are removed, and nothing was done', async (_, fails) => {
    const { port, seen } = await serve(
      uploads((one, response) => {
        if (fails(one)) error(403, 'AccessDenied')(one, response)
        return fails(one)
      }),
    )
    await expectPortError(port.put('key', streamOf(twoParts)), 'permission-denied', {
      outcome: 'not-applied',
    })
    expect(calls(seen).slice(-2)).toEqual([
      'DELETE /bucket/key?uploadId=one',
      'DELETE /bucket/key?uploadId=one',
    ])
  })

  test('whose completion fails inside a 200 fail', async () => {
    const { port } = await serve(
      uploads((one, response) => {
        const completes = one.method === 'POST' && one.url.includes('uploadId')
        if (completes) response.end('<?xml version="1.0"?><Error><Code>InternalError</Code></Error>')
        return completes
      }),
    )
    await expectPortError(port.put('key', streamOf(twoParts)), 'unavailable', { outcome: 'unknown' })
  })

  test('whose completion is not answered have an unknown outcome; of a part that is lost it is known', async () => {
    for (const [lost, outcome] of [
      ['POST', 'unknown'],
      ['PUT', 'not-applied'],
    ] as const) {
      const { port } = await serve(
        uploads((one, response) => {
          const cut = one.method === lost && one.url.includes('uploadId')
          if (cut) response.socket?.destroy()
          return cut
        }),
      )
      await expectPortError(port.put('key', streamOf(twoParts)), 'unavailable', { outcome })
    }
  })

  test('that are cancelled before their id is known are removed when it comes', async () => {
    const controller = new AbortController()
    const { port, guarded, seen } = await serve(
      uploads((one, response) => {
        if (!one.url.includes('uploads')) return false
        controller.abort()
        setTimeout(() => {
          response.end(
            '<InitiateMultipartUploadResult><UploadId>late</UploadId></InitiateMultipartUploadResult>',
          )
        }, 400)
        return true
      }),
    )
    const put = port.put('key', streamOf(twoParts), { signal: controller.signal })
    await expectPortError(put, 'cancelled', { outcome: 'not-applied' })
    await guarded.close()
    expect(calls(seen)).toContain('DELETE /bucket/key?uploadId=late')
  })

  test('that are cancelled tell so at once, sure that nothing was done, and are removed behind the call', async () => {
    const controller = new AbortController()
    const { port, guarded, seen } = await serve(
      uploads((one, response) => {
        if (one.method !== 'DELETE') return false
        // Longer than the guard waits to hear what became of an aborted call.
        setTimeout(() => error(404, 'NoSuchUpload')(one, response), 600)
        return true
      }),
    )
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield twoParts
      controller.abort()
      yield twoParts
    }
    const put = port.put('key', source(), { signal: controller.signal })
    await expectPortError(put, 'cancelled', { outcome: 'not-applied' })
    await guarded.close()
    expect(calls(seen)).toContain('DELETE /bucket/key?uploadId=one')
  })

  test('tell the source to stop where they fail', async () => {
    const { port } = await serve(error(403, 'AccessDenied'))
    let stopped = false
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield pattern(1_000_000)
      } finally {
        stopped = true
      }
    }
    await expectPortError(port.put('key', source()), 'permission-denied')
    expect(stopped).toBe(true)
  })

  test('read no more of their source than the parts that are under way', async () => {
    const held: (() => void)[] = []
    const enough = Promise.withResolvers<void>()
    const { port } = await serve(
      uploads((one, response) => {
        if (one.method !== 'PUT') return false
        held.push(() => response.writeHead(200, { etag: '"part"' }).end())
        if (held.length === 4) enough.resolve()
        return true
      }),
      { partSizeBytes: 5 * 1024 * 1024 },
    )
    let read = 0
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (; read < 60; read += 1) yield pattern(1024 * 1024)
    }
    const put = port.put('key', source())
    await enough.promise
    await new Promise((resolve) => setTimeout(resolve, 100))
    // Four parts of five chunks are being sent; one more is as much as may be held.
    expect(read).toBeLessThanOrEqual(4 * 5 + 6)
    const release = setInterval(() => held.splice(0).forEach((answer) => void answer()), 5)
    expect((await put).size).toBe(60 * 1024 * 1024)
    clearInterval(release)
  })

  test('take parts that are larger where the size would need too many', async () => {
    const { port, seen } = await serve(ok)
    const size = 100_000 * 1024 * 1024
    // Refused at its end, but by then the first part would have been sent were it a small one.
    const short = port.put('key', streamOf(pattern(9_000_000)), { size })
    await expectPortError(short, 'invalid-argument')
    expect(seen).toEqual([])
  })
})

describe('reading', () => {
  const endless: Answer = (_, response) => {
    response.writeHead(200, { etag: '"etag"', 'content-length': 1_000_000_000 })
    const write = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
      response.once('drain', write)
    }
    write()
  }

  test.each([undefined, 'WHEN_SUPPORTED'] as const)(
    'a body that is left early closes its connection (checksums %s)',
    async (checksums) => {
      const closed = Promise.withResolvers<void>()
      const { port } = await serve(
        (seen, response) => {
          response.once('close', closed.resolve)
          if (checksums !== undefined) response.setHeader('x-amz-checksum-crc32', 'AAAAAA==')
          endless(seen, response)
        },
        checksums === undefined ? {} : { checksums },
      )
      const object = await port.get('key')
      for await (const _ of object?.body ?? []) break
      await closed.promise
    },
  )

  test('a connection that breaks while the body is read is unavailable, never a short body', async () => {
    const { port } = await serve((_, response) => {
      response.writeHead(200, { etag: '"etag"', 'content-length': 1_000 })
      response.write(Buffer.alloc(10))
      setTimeout(() => response.socket?.destroy(), 20)
    })
    const object = await port.get('key')
    const read = async (): Promise<void> => {
      for await (const _ of object?.body ?? []);
    }
    await expectPortError(read(), 'unavailable', { outcome: 'not-applied' })
  })

  test('a connection that breaks while nobody reads brings nothing down', async () => {
    const { port } = await serve((_, response) => {
      response.writeHead(200, { etag: '"etag"', 'content-length': 1_000 })
      response.write(Buffer.alloc(10))
      setTimeout(() => response.socket?.destroy(), 10)
    })
    await port.get('key')
    await new Promise((resolve) => setTimeout(resolve, 100))
  })

  test('a body that does not have its checksum is corrupt', async () => {
    const { port } = await serve(
      (_, response) => {
        response.writeHead(200, { etag: '"etag"', 'content-length': 4, 'x-amz-checksum-crc32': 'AAAAAA==' })
        response.end('data')
      },
      { checksums: 'WHEN_SUPPORTED' },
    )
    const object = await port.get('key')
    const read = async (): Promise<void> => {
      for await (const _ of object?.body ?? []);
    }
    await expectPortError(read(), 'corrupt')
  })

  test('a service that answers a range with everything is unsupported, not the wrong bytes', async () => {
    const { port } = await serve((_, response) => {
      response.writeHead(200, { etag: '"etag"' }).end('everything')
    })
    await expectPortError(port.get('key', { range: { start: 2, end: 3 } }), 'unsupported')
  })
})

describe('deleting many', () => {
  test('tells per key what failed, and tries every batch', async () => {
    let batch = 0
    const { port } = await serve((seen, response) => {
      batch += 1
      if (batch === 2) error(503, 'SlowDown')(seen, response)
      else {
        const failed = '<Error><Key>k0007</Key><Code>AccessDenied</Code><Message>canary</Message></Error>'
        response.end(`<?xml version="1.0"?><DeleteResult>${batch === 1 ? failed : ''}</DeleteResult>`)
      }
    })
    const keys = Array.from({ length: 2_500 }, (_, index) => `k${String(index).padStart(4, '0')}`)
    const { items, ok: all } = await port.deleteMany(keys)
    expect(all).toBe(false)
    expect(items.map(({ key }) => key)).toEqual(keys)
    const codes = items.map(({ error: failed }) => failed?.code)
    expect(codes[7]).toBe('permission-denied')
    expect(codes.filter((code) => code === 'rate-limited')).toHaveLength(1_000)
    expect(codes.slice(2_000).every((code) => code === undefined)).toBe(true)
    expect(items[7]?.error?.subject).toBe('k0007')
    expect(inspect(items[7])).not.toContain('canary')
  })

  test('fails as a whole where no request went through', async () => {
    const { port } = await serve(error(403, 'AccessDenied'))
    await expectPortError(port.deleteMany(['a', 'b']), 'permission-denied', { outcome: 'not-applied' })
  })
})

describe('absence', () => {
  test('a HEAD answered 404 is absence only once the bucket is known to be there', async () => {
    const missing = await serve((seen, response) => {
      if (seen.method === 'HEAD') response.writeHead(404).end()
      else error(404, 'NoSuchBucket')(seen, response)
    })
    await expectPortError(missing.port.head('key'), 'not-found', { reason: 'no-such-bucket' })
    const there = await serve((seen, response) => {
      if (seen.method === 'HEAD') response.writeHead(404).end()
      else response.end('<?xml version="1.0"?><ListBucketResult></ListBucketResult>')
    })
    expect(await there.port.head('key')).toBeUndefined()
    expect(await there.port.head('key')).toBeUndefined()
    expect(there.seen.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'HEAD'])
  })

  test('a HEAD that is refused without a word asks again with GET, which says why', async () => {
    const { port, seen } = await serve((one, response) => {
      if (one.method === 'HEAD') response.writeHead(403).end()
      else error(403, 'SignatureDoesNotMatch')(one, response)
    })
    await expectPortError(port.head('key'), 'unauthenticated', { outcome: 'not-applied', retryable: false })
    expect(seen.map(({ method, headers }) => [method, headers.range])).toEqual([
      ['HEAD', undefined],
      ['GET', 'bytes=0-0'],
    ])
  })

  test('a HEAD that is refused where a GET is not stays refused, and the body of the GET is not read', async () => {
    const closed = Promise.withResolvers<void>()
    const { port } = await serve((one, response) => {
      if (one.method === 'HEAD') {
        response.writeHead(403).end()
        return
      }
      response.once('close', closed.resolve)
      response.writeHead(206, { 'content-length': 1_000_000, 'content-range': 'bytes 0-999999/1000000' })
      response.write('x')
    })
    await expectPortError(port.head('key'), 'permission-denied', { outcome: 'not-applied' })
    await closed.promise
  })

  test('ifMatch on an absent key is precondition-failed', async () => {
    const { port } = await serve(error(404, 'NoSuchKey'))
    await expectPortError(port.put('key', 'x', { ifMatch: '"etag"' }), 'precondition-failed')
  })
})

describe('calls', () => {
  test('that hang end at their deadline and take their connection with them', async () => {
    const closed = Promise.withResolvers<void>()
    const { port } = await serve((_, response) => {
      response.once('close', closed.resolve)
    })
    await expectPortError(port.head('key', { timeoutMs: 100 }), 'timeout')
    await closed.promise
  })

  test('show no secret and no signature in their errors, at any depth', async () => {
    const { port } = await serve(error(403, 'SignatureDoesNotMatch'))
    const failed = await port.get('key').catch((thrown: unknown) => thrown)
    const shown = inspect(failed, { depth: 20, showHidden: true }) + JSON.stringify(failed)
    expect(shown).not.toMatch(/canary|AWS4-HMAC|Signature=/)
  })

  test('send the checksum of a body where checksums are on', async () => {
    const { port, seen } = await serve(ok, { checksums: 'WHEN_SUPPORTED' })
    await port.put('key', 'content')
    expect(seen[0]?.headers['x-amz-checksum-crc32']).toBeDefined()
    expect(seen[0]?.headers['x-amz-content-sha256']).toBe(
      createHash('sha256').update('content').digest('hex'),
    )
  })
})

describe('signed URLs', () => {
  test('carry no checksum of a body that is not there yet', async () => {
    const { port, seen } = await serve(ok, { checksums: 'WHEN_SUPPORTED' })
    const url = await port.signUrl('key', { expiresInMs: 61_999, method: 'PUT', contentType: 'a/b' })
    expect([...url.searchParams.keys()].filter((name) => /checksum/i.test(name))).toEqual([])
    expect(url.searchParams.get('X-Amz-Expires')).toBe('61')
    expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('content-type;host')
    expect(seen).toEqual([])
    await port.put('key', 'x')
    // Signing has not switched the client's own checksums off.
    expect(seen[0]?.headers['x-amz-checksum-crc32']).toBeDefined()
  })
})

describe('options', () => {
  test.each([{ partSizeBytes: 1 }, { partSizeBytes: Number.NaN }, { lacks: ['nothing-known'] }])(
    '%o are refused',
    (options) => {
      const client = new S3Client({ region: 'x' })
      expect(() => s3ObjectStorage(client, { bucket: 'bucket', ...options })).toThrow()
    },
  )

  test('a capability that the server lacks is unsupported before any request', async () => {
    const { port, seen } = await serve(ok, { lacks: ['put-if-match', 'conditional-stream'] })
    await expectPortError(port.put('key', 'x', { ifMatch: '"etag"' }), 'unsupported')
    await expectPortError(port.put('key', streamOf(pattern(1)), { ifAbsent: true }), 'unsupported')
    expect(seen).toEqual([])
    // Bytes go in one request then, where the condition is looked at.
    await port.put('key', twoParts, { ifAbsent: true })
    expect(calls(seen)).toEqual(['PUT /bucket/key'])
    expect(seen[0]?.headers['if-none-match']).toBe('*')
  })
})

test('an answer that is no S3’s, such as the page of a proxy, passes for no object and no success', async () => {
  const { port } = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Please sign in</p>')
  })
  await expectPortError(port.put('key', 'x'), 'corrupt', { outcome: 'unknown' })
  await expectPortError(port.copy('key', 'other'), 'corrupt')
  await expectPortError(port.head('key'), 'corrupt', { outcome: 'not-applied' })
  await expectPortError(port.get('key'), 'corrupt')
})
