import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { PutObjectCommand, ChecksumAlgorithm as SdkAlgorithm } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBytes } from '../../../src/calls/bytes.ts'
import { type ChecksumAlgorithm, checksumAlgorithms, checksumHeader, checksumOf } from './checksums.ts'
import { S3Error } from './errors.ts'
import { accessKeyId, cut, secret, startRecorder } from './fixtures/recorder.ts'
import {
  decodePayload,
  type Payload,
  type PayloadOptions,
  type PayloadSummary,
  storedContentEncoding,
} from './payload.ts'
import { type Authentication, authenticate, type Signed } from './signature.ts'
import { hmac, scopeText, sha256 } from './signing.ts'

type Headers = Readonly<Record<string, string>>
type Read = PayloadSummary & { readonly bytes: Uint8Array }

const anonymous: Authentication = { kind: 'anonymous', payload: undefined }

async function decode(
  headers: Headers,
  body: AsyncIterable<Uint8Array>,
  authentication: Authentication,
  options?: PayloadOptions,
): Promise<Read> {
  const payload = decodePayload({ headers, body }, authentication, options)
  const bytes = await readBytes(payload.bytes)
  return { bytes, ...payload.done() }
}

async function refusal(reading: Promise<unknown>): Promise<S3Error> {
  const error = await reading.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof S3Error) return error
  throw new Error(`it was taken, or failed otherwise: ${String(error)}`)
}

const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })

/** A body in chunks that are signed as AWS documents it, by our own hand. */
function packed(
  authentication: Signed,
  body: Uint8Array,
  { chunkBytes = 8_192, trailer }: { chunkBytes?: number; trailer?: readonly [string, string] } = {},
): Buffer {
  const { date, scope, signingKey, payload } = authentication
  const isSigned = payload.includes('HMAC')
  let previous = authentication.signature
  const sign = (kind: string, ...hashes: string[]): string => {
    previous = hmac(signingKey, [kind, date, scopeText(scope), previous, ...hashes].join('\n')).toString(
      'hex',
    )
    return previous
  }
  const out: Uint8Array[] = []
  const sizes = Array.from({ length: Math.ceil(body.length / chunkBytes) }, (_, i) => i * chunkBytes)
  for (const at of [...sizes, body.length]) {
    const data = at === body.length ? body.subarray(at) : body.subarray(at, at + chunkBytes)
    const signature = isSigned
      ? `;chunk-signature=${sign('AWS4-HMAC-SHA256-PAYLOAD', sha256(''), sha256(data))}`
      : ''
    out.push(Buffer.from(`${data.length.toString(16)}${signature}\r\n`))
    if (data.length > 0) out.push(data, Buffer.from('\r\n'))
  }
  if (trailer !== undefined) {
    const [name, value] = trailer
    out.push(Buffer.from(`${name}:${value}\r\n`))
    if (isSigned) {
      const signature = sign('AWS4-HMAC-SHA256-TRAILER', sha256(`${name}:${value}\n`))
      out.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`))
    }
  }
  out.push(Buffer.from('\r\n'))
  return Buffer.concat(out)
}

function signedFor(payload: string): Signed {
  return {
    kind: 'header',
    accessKeyId,
    scope: { day: '20260101', region: 'us-east-1' },
    date: '20260101T000000Z',
    signature: 'a'.repeat(64),
    signingKey: Buffer.from('signing key'),
    payload,
  }
}

type Kind = readonly [kind: keyof typeof streamed, algorithm: ChecksumAlgorithm | undefined]

const streamed = {
  signed: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  signedTrailer: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  unsignedTrailer: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
} as const

describe("the examples of AWS's documentation", () => {
  const id = 'AKIAIOSFODNN7EXAMPLE'
  const context = {
    secretOf: () => 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    nowMs: Date.UTC(2013, 4, 24),
  }
  const common = {
    host: 's3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': '66560',
  }
  const body = Buffer.alloc(66_560, 'a')
  const authorization = (names: string, signature: string): string =>
    `AWS4-HMAC-SHA256 Credential=${id}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names},Signature=${signature}`

  const plainHeaders = {
    ...common,
    'content-length': '66824',
    'x-amz-content-sha256': streamed.signed,
    authorization: authorization(
      'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
      '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    ),
  }
  const plain = Buffer.concat([
    Buffer.from('10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n'),
    body.subarray(0, 65_536),
    Buffer.from(
      '\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n',
    ),
    body.subarray(65_536),
    Buffer.from(
      '\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
    ),
  ])
  const request = { method: 'PUT', target: '/examplebucket/chunkObject.txt' }

  test('a body in signed chunks is taken', async () => {
    const authentication = authenticate({ ...request, headers: plainHeaders }, context)
    expect(plain.length).toBe(66_824)
    const { bytes, size } = await decode(plainHeaders, cut(plain, [0.3]), authentication)
    expect(size).toBe(66_560)
    expect(body.equals(bytes)).toBe(true)
  })

  const trailerHeaders = {
    ...common,
    'x-amz-content-sha256': streamed.signedTrailer,
    'x-amz-trailer': 'x-amz-checksum-crc32c',
    authorization: authorization(
      'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
      '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
    ),
  }
  const withTrailer = Buffer.concat([
    Buffer.from('10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n'),
    body.subarray(0, 65_536),
    Buffer.from(
      '\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n',
    ),
    body.subarray(65_536),
    Buffer.from(
      '\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n' +
        'x-amz-checksum-crc32c:sOO8/Q==\r\n' +
        'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
    ),
  ])

  test('a body in signed chunks with a signed trailer is taken', async () => {
    const authentication = authenticate({ ...request, headers: trailerHeaders }, context)
    const { bytes, checksums } = await decode(trailerHeaders, cut(withTrailer), authentication)
    expect(body.equals(bytes)).toBe(true)
    expect([...checksums]).toEqual([['CRC32C', 'sOO8/Q==']])
  })

  test('neither is taken with any one byte of it changed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.nat(3_000), fc.boolean(), async (trailer, at, fromEnd) => {
        const headers = trailer ? trailerHeaders : plainHeaders
        const changed = Buffer.from(trailer ? withTrailer : plain)
        const index = fromEnd ? changed.length - 1 - at : at
        const before = changed[index] ?? 0
        // Sizes and names mean the same in either case.
        changed[index] = before === 0x2b ? 0x2d : before + 1
        const authentication = authenticate({ ...request, headers }, context)
        await refusal(decode(headers, cut(changed), authentication))
      }),
    )
  })
})

describe("AWS's own client", () => {
  const context = { secretOf: () => secret, nowMs: Date.now() }

  test('sends bodies of bytes and of streams, with any checksum or none, that come out as they went in', async () => {
    await using supported = await startRecorder({ requestStreamBufferSize: 16_384 })
    await using required = await startRecorder({
      requestChecksumCalculation: 'WHEN_REQUIRED',
      requestStreamBufferSize: 16_384,
    })
    const algorithms = fc.option(fc.constantFrom(...checksumAlgorithms), { nil: undefined })
    await fc.assert(
      fc.asyncProperty(
        fc.nat(40_000),
        fc.boolean(),
        fc.boolean(),
        algorithms,
        shares,
        async (size, isStream, isRequired, algorithm, places) => {
          const body = createHash('shake256', { outputLength: Math.max(size, 1) })
            .update('x')
            .digest()
          const { bytes, headers, ...request } = await (isRequired ? required : supported).record((client) =>
            client.send(
              new PutObjectCommand({
                Bucket: 'b',
                Key: 'k',
                Body: isStream ? Readable.from([...pieces(body, 5_000)], { objectMode: false }) : body,
                ContentLength: body.length,
                ...(algorithm && { ChecksumAlgorithm: SdkAlgorithm[algorithm] }),
              }),
            ),
          )
          const authentication = authenticate({ ...request, headers }, context)
          const read = await decode(headers, cut(bytes, places), authentication, { lengthRequired: true })
          expect(body.equals(read.bytes)).toBe(true)
          expect(read.md5).toBe(createHash('md5').update(body).digest('hex'))
          const used = algorithm ?? (isRequired ? 'CRC64NVME' : 'CRC32')
          expect(read.checksums.get(used)).toBe(checksumOf(used, body))
          expect(read.sent?.algorithm).toBe(algorithm ?? (isRequired ? undefined : 'CRC32'))
        },
      ),
      // On a busy machine fewer runs, not none and not too late.
      { numRuns: 60, interruptAfterTimeLimit: 15_000 },
    )
  })

  test('is told of the chunks that S3 finds too small', async () => {
    await using recorder = await startRecorder()
    const { bytes, headers, ...request } = await recorder.record((client) =>
      client.send(
        new PutObjectCommand({
          Bucket: 'b',
          Key: 'k',
          Body: Readable.from(
            ['abc', 'defg', 'hi'].map((text) => Buffer.from(text)),
            { objectMode: false },
          ),
          ContentLength: 9,
        }),
      ),
    )
    const error = await refusal(decode(headers, cut(bytes), authenticate({ ...request, headers }, context)))
    expect(error).toMatchObject({ code: 'InvalidChunkSizeError', status: 403 })
    expect(error.fields).toEqual({ Chunk: 2, BadChunkSize: 3 })
  })
})

describe('chunks', () => {
  const kinds = fc.constantFrom<Kind[]>(
    ['signed', undefined],
    ['signedTrailer', 'CRC32C'],
    ['signedTrailer', undefined],
    ['unsignedTrailer', 'SHA256'],
    ['unsignedTrailer', 'CRC64NVME'],
  )

  function request(
    kind: keyof typeof streamed,
    algorithm: ChecksumAlgorithm | undefined,
    body: Uint8Array,
    chunkBytes = 8_192,
  ): { headers: Headers; wire: Buffer; authentication: Signed } {
    const authentication = signedFor(streamed[kind])
    const trailer = algorithm && ([checksumHeader(algorithm), checksumOf(algorithm, body)] as const)
    return {
      headers: {
        'x-amz-decoded-content-length': String(body.length),
        ...(trailer && { 'x-amz-trailer': trailer[0] }),
      },
      wire: packed(authentication, body, { chunkBytes, ...(trailer && { trailer }) }),
      authentication,
    }
  }

  test('come out the same under every cut of what came', async () => {
    const body = Buffer.from('the whole body')
    for (const [kind, algorithm] of [
      ['signed', undefined],
      ['signedTrailer', 'CRC32C'],
      ['unsignedTrailer', 'SHA1'],
    ] as const) {
      const { headers, wire, authentication } = request(kind, algorithm, body)
      for (let at = 0; at <= wire.length; at++) {
        const { bytes } = await decode(headers, cut(wire, [at / wire.length]), authentication)
        expect(body.equals(bytes)).toBe(true)
      }
      const single = cut(
        wire,
        Array.from({ length: wire.length }, (_, i) => i / wire.length),
      )
      expect(body.equals((await decode(headers, single, authentication)).bytes)).toBe(true)
    }
  })

  test('come out the same whatever the body, the chunks and the cuts', async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        fc.nat(60_000),
        fc.integer({ min: 8_192, max: 20_000 }),
        shares,
        async ([kind, algorithm], size, chunkBytes, places) => {
          const body = Buffer.alloc(size, 'ab\r\n0;')
          const { headers, wire, authentication } = request(kind, algorithm, body, chunkBytes)
          const read = await decode(headers, cut(wire, places), authentication)
          expect(body.equals(read.bytes)).toBe(true)
        },
      ),
    )
  })

  test('are not kept: what came is given on before more comes', async () => {
    const { headers, wire, authentication } = request('unsignedTrailer', 'CRC32', Buffer.alloc(20_000, 'a'))
    let given = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      for (const piece of pieces(wire, 1_000)) {
        const before = given
        yield piece
        if (piece.length > 500 && !piece.includes(0x0d)) expect(given).toBe(before + piece.length)
      }
    }
    for await (const bytes of decodePayload({ headers, body: source() }, authentication).bytes)
      given += bytes.length
    expect(given).toBe(20_000)
  })

  test('cannot be left out, put in, repeated or put in another order', async () => {
    const body = Buffer.concat(['a', 'b', 'c'].map((letter) => Buffer.alloc(8_192, letter)))
    const { headers, wire, authentication } = request('signed', undefined, body)
    const marks = [...wire.toString('latin1').matchAll(/[0-9a-f]+;chunk/g)].map(({ index }) => index)
    const [first, second, third, last] = [0, 1, 2, 3].map((n) => wire.subarray(marks[n], marks[n + 1])) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ]
    expect(
      body.equals(
        (await decode(headers, cut(Buffer.concat([first, second, third, last])), authentication)).bytes,
      ),
    ).toBe(true)
    for (const chunks of [
      [second, first, third, last],
      [first, third, last],
      [first, second, second, last],
      [first, second, third],
      [first, second, third, last, last],
      [last],
    ]) {
      const { code } = await refusal(decode(headers, cut(Buffer.concat(chunks)), authentication))
      expect(['SignatureDoesNotMatch', 'IncompleteBody']).toContain(code)
    }
  })

  const unsigned = { 'x-amz-decoded-content-length': '3', 'x-amz-trailer': 'x-amz-checksum-crc32' }
  const crc = checksumOf('CRC32', Buffer.from('abc'))
  test.each([
    ['a wrong checksum', `3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n`, 'BadDigest'],
    ['a malformed checksum', `3\r\nabc\r\n0\r\nx-amz-checksum-crc32:zz\r\n\r\n`, 'InvalidRequest'],
    ['no trailer', `3\r\nabc\r\n0\r\n\r\n`, 'MalformedTrailerError'],
    ['another trailer', `3\r\nabc\r\n0\r\nx-amz-checksum-sha1:${crc}\r\n\r\n`, 'MalformedTrailerError'],
    [
      'a trailer more',
      `3\r\nabc\r\n0\r\nx-amz-checksum-crc32:${crc}\r\nx-a:b\r\n\r\n`,
      'MalformedTrailerError',
    ],
    [
      'a trailer twice',
      `3\r\nabc\r\n0\r\nx-amz-checksum-crc32:${crc}\r\nx-amz-checksum-crc32:${crc}\r\n\r\n`,
      'MalformedTrailerError',
    ],
    ['a line that is no trailer', `3\r\nabc\r\n0\r\nx\r\n\r\n`, 'MalformedTrailerError'],
    ['no end', `3\r\nabc\r\n0\r\nx-amz-checksum-crc32:${crc}\r\n`, 'IncompleteBody'],
    ['no last chunk', `3\r\nabc\r\n`, 'IncompleteBody'],
    ['nothing at all', '', 'IncompleteBody'],
    ['a chunk cut short', `3\r\nab`, 'IncompleteBody'],
    ['a chunk too long', `3\r\nabcd\r\n`, 'IncompleteBody'],
    ['a body too short', `2\r\nab\r\n0\r\nx-amz-checksum-crc32:${crc}\r\n\r\n`, 'IncompleteBody'],
    ['a body too long', `4\r\nabcd\r\n0\r\nx-amz-checksum-crc32:${crc}\r\n\r\n`, 'IncompleteBody'],
    ['no size', `x\r\nabc\r\n0\r\n\r\n`, 'IncompleteBody'],
    ['a negative size', `-3\r\nabc\r\n0\r\n\r\n`, 'IncompleteBody'],
    ['a lone line feed', `3\nabc\n0\n\n`, 'IncompleteBody'],
    ['a line without an end', '3'.repeat(10_000), 'IncompleteBody'],
    ['bytes after the end', `3\r\nabc\r\n0\r\nx-amz-checksum-crc32:${crc}\r\n\r\nmore`, 'IncompleteBody'],
  ])('with %s are refused', async (_, wire, code) => {
    for (const places of [[], [0.2, 0.5, 0.8]]) {
      const reading = decode(unsigned, cut(Buffer.from(wire), places), signedFor(streamed.unsignedTrailer))
      expect((await refusal(reading)).code).toBe(code)
    }
  })

  test('that should be signed are refused without a signature', async () => {
    const headers = { 'x-amz-decoded-content-length': '3' }
    const reading = decode(headers, cut(Buffer.from('3\r\nabc\r\n0\r\n\r\n')), signedFor(streamed.signed))
    expect((await refusal(reading)).code).toBe('IncompleteBody')
  })
})

describe('a body that comes as it is', () => {
  const body = Buffer.from('abc')
  const digest = (name: string): Buffer => createHash(name).update(body).digest()
  const md5 = digest('md5').toString('base64')
  const length = { 'content-length': '3' }

  test('is taken with everything that is true of it', async () => {
    const headers = {
      ...length,
      'content-md5': md5,
      'x-amz-checksum-sha1': digest('sha1').toString('base64'),
      'x-amz-sdk-checksum-algorithm': 'SHA1',
    }
    const read = await decode(headers, cut(body, [0.5]), signedFor(digest('sha256').toString('hex')))
    expect(read).toMatchObject({ size: 3, md5: digest('md5').toString('hex') })
    expect(read.sent).toEqual({ algorithm: 'SHA1', value: digest('sha1').toString('base64') })
    expect([...read.checksums.keys()]).toEqual(['SHA1'])
  })

  test('gets the checksum that S3 adds where none was sent, or those that are asked for', async () => {
    const added = await decode(length, cut(body), anonymous)
    expect([...added.checksums]).toEqual([['CRC64NVME', checksumOf('CRC64NVME', body)]])
    const asked = await decode(length, cut(body), anonymous, { checksums: ['SHA256', 'CRC32'] })
    expect([...asked.checksums.keys()]).toEqual(['SHA256', 'CRC32'])
  })

  test('is empty where nothing was sent', async () => {
    expect(await decode({}, cut(new Uint8Array()), anonymous)).toMatchObject({ size: 0 })
  })

  test.each([
    ['another SHA-256', {}, 'a'.repeat(64), 'XAmzContentSHA256Mismatch'],
    ['another MD5', { 'content-md5': createHash('md5').digest('base64') }, 'UNSIGNED-PAYLOAD', 'BadDigest'],
    ['another checksum', { 'x-amz-checksum-crc32': 'AAAAAA==' }, 'UNSIGNED-PAYLOAD', 'BadDigest'],
    ['more bytes than said', { 'content-length': '2' }, 'UNSIGNED-PAYLOAD', 'IncompleteBody'],
    ['fewer bytes than said', { 'content-length': '4' }, 'UNSIGNED-PAYLOAD', 'IncompleteBody'],
    ['a malformed MD5', { 'content-md5': 'abc' }, 'UNSIGNED-PAYLOAD', 'InvalidDigest'],
    ['a malformed checksum', { 'x-amz-checksum-crc32': 'abc' }, 'UNSIGNED-PAYLOAD', 'InvalidRequest'],
    [
      'two checksums',
      { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' },
      'UNSIGNED-PAYLOAD',
      'InvalidRequest',
    ],
    [
      'a checksum that was announced only',
      { 'x-amz-sdk-checksum-algorithm': 'CRC32' },
      'UNSIGNED-PAYLOAD',
      'InvalidRequest',
    ],
    [
      'another checksum than announced',
      { 'x-amz-sdk-checksum-algorithm': 'SHA1', 'x-amz-checksum-crc32': 'AAAAAA==' },
      'UNSIGNED-PAYLOAD',
      'InvalidRequest',
    ],
    ['a checksum we do not make', { 'x-amz-checksum-xxhash64': 'x' }, 'UNSIGNED-PAYLOAD', 'NotImplemented'],
    [
      'an announced checksum we do not make',
      {
        'x-amz-sdk-checksum-algorithm': 'MD5',
        'content-md5': createHash('md5').update(body).digest('base64'),
      },
      'UNSIGNED-PAYLOAD',
      'NotImplemented',
    ],
    ['an unknown checksum', { 'x-amz-checksum-crc99': 'x' }, 'UNSIGNED-PAYLOAD', 'InvalidRequest'],
    ['no number for a length', { 'content-length': '0x3' }, 'UNSIGNED-PAYLOAD', 'InvalidArgument'],
    ['version 4A', {}, 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'NotImplemented'],
    ['chunks of an unknown length', {}, streamed.signed, 'MissingContentLength'],
    [
      'a trailer we do not know',
      { 'x-amz-decoded-content-length': '3', 'x-amz-trailer': 'x' },
      streamed.unsignedTrailer,
      'InvalidRequest',
    ],
  ])('is refused with %s', async (_, headers, payload, code) => {
    const reading = (async () => decode({ ...length, ...headers }, cut(body), signedFor(payload)))()
    expect((await refusal(reading)).code).toBe(code)
  })

  test('is refused without a length where it must be told, and where it is cut in chunks of HTTP', async () => {
    const open =
      (headers: Headers, options?: PayloadOptions): (() => Payload) =>
      () =>
        decodePayload({ headers, body: cut(body) }, anonymous, options)
    expect(open({})).not.toThrow()
    for (const opened of [open({}, { lengthRequired: true }), open({ 'transfer-encoding': 'chunked' })]) {
      expect(opened).toThrow(expect.objectContaining({ code: 'MissingContentLength', status: 411 }))
    }
  })

  test('has come out to nothing before it is read', () => {
    expect(() => decodePayload({ headers: length, body: cut(body) }, anonymous).done()).toThrow(/not read/)
  })

  test('fails as its source fails', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield body
      throw new Error('the client left')
    }
    await expect(decode(length, broken(), anonymous)).rejects.toThrow('the client left')
  })
})

test.each([
  [undefined, undefined],
  ['aws-chunked', undefined],
  ['aws-chunked,gzip', 'gzip'],
  ['gzip, AWS-chunked', 'gzip'],
  ['gzip, br', 'gzip, br'],
  ['', undefined],
])('Content-Encoding %s is stored as %s', (sent, stored) => {
  expect(storedContentEncoding(sent)).toBe(stored)
})

function* pieces(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
