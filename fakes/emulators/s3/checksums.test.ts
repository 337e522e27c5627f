import { createHash } from 'node:crypto'
import { ChecksumAlgorithm as SdkAlgorithm, UploadPartCommand } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checksumAlgorithm,
  checksumAlgorithms,
  checksumHeader,
  checksumOf,
  combineChecksums,
  compositeChecksum,
  createChecksum,
  isChecksum,
  isCombinable,
} from './checksums.ts'
import { cut, startRecorder } from './fixtures/recorder.ts'

const combinable = checksumAlgorithms.filter(isCombinable)

describe('checksums', () => {
  // The check values of the catalogue of parametrised CRC algorithms (reveng), and of FIPS 180.
  test.each([
    ['CRC32', '123456789', 'cbf43926'],
    ['CRC32C', '123456789', 'e3069283'],
    ['CRC64NVME', '123456789', 'ae8b14860a799888'],
    ['SHA1', 'abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['SHA256', 'abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['CRC32', '', '00000000'],
    ['CRC32C', '', '00000000'],
    ['CRC64NVME', '', '0000000000000000'],
  ] as const)('%s of "%s" is %s', (algorithm, text, hex) => {
    expect(Buffer.from(checksumOf(algorithm, Buffer.from(text)), 'base64').toString('hex')).toBe(hex)
  })

  // RFC 3720, B.4.
  test.each([
    ['zeros', new Uint8Array(32), '8a9136aa'],
    ['ones', new Uint8Array(32).fill(255), '62a8ab43'],
    ['bytes that count up', Uint8Array.from({ length: 32 }, (_, i) => i), '46dd794e'],
  ])('CRC32C of 32 %s is the one of iSCSI', (_, bytes, hex) => {
    expect(Buffer.from(checksumOf('CRC32C', bytes), 'base64').toString('hex')).toBe(hex)
  })

  test("are those that AWS's own client sends", async () => {
    await using recorder = await startRecorder()
    const bodies = fc.uint8Array({ maxLength: 300 })
    await fc.assert(
      fc.asyncProperty(bodies, fc.constantFrom(...checksumAlgorithms), async (body, algorithm) => {
        const { headers } = await recorder.record((client) =>
          client.send(
            new UploadPartCommand({
              Bucket: 'b',
              Key: 'k',
              UploadId: 'u',
              PartNumber: 1,
              Body: body,
              ChecksumAlgorithm: SdkAlgorithm[algorithm],
            }),
          ),
        )
        expect(headers[checksumHeader(algorithm)]).toBe(checksumOf(algorithm, body))
      }),
      // On a busy machine fewer runs, not none and not too late.
      { numRuns: 60, interruptAfterTimeLimit: 15_000 },
    )
  })

  test('are the same however the bytes are cut, and wherever they lie in their buffer', async () => {
    const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), shares, fc.nat(9), async (body, places, offset) => {
        const moved = new Uint8Array(body.length + offset).subarray(offset)
        moved.set(body)
        for (const algorithm of checksumAlgorithms) {
          const checksum = createChecksum(algorithm)
          for await (const piece of cut(moved, places)) checksum.update(piece)
          expect(checksum.digest().toString('base64')).toBe(checksumOf(algorithm, body))
        }
      }),
    )
  })

  test.each(checksumAlgorithms)('%s is recognised by its length and canonical form', (algorithm) => {
    const value = checksumOf(algorithm, Buffer.from('x'))
    expect(isChecksum(algorithm, value)).toBe(true)
    for (const wrong of ['', 'x', `${value} `, value.slice(0, -4), value.replace(/=+$/, ''), `A${value}`]) {
      if (wrong !== value) expect(isChecksum(algorithm, wrong)).toBe(false)
    }
  })

  test('algorithms are taken by name in any case; newer ones are refused by name, others too', () => {
    expect(checksumAlgorithm('crc64nvme')).toBe('CRC64NVME')
    expect(() => checksumAlgorithm('xxhash3')).toThrow(/XXHASH3/)
    expect(() => checksumAlgorithm('xxhash3')).toThrow(expect.objectContaining({ code: 'NotImplemented' }))
    expect(() => checksumAlgorithm('crc99')).toThrow(expect.objectContaining({ code: 'InvalidRequest' }))
  })
})

describe('checksums of parts', () => {
  const parts = fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 8 })

  test.each(combinable)('%s of the whole follows from those of the parts', (algorithm) => {
    fc.assert(
      fc.property(parts, (bodies) => {
        const known = bodies.map((body) => ({ value: checksumOf(algorithm, body), size: body.length }))
        expect(combineChecksums(algorithm, known)).toBe(checksumOf(algorithm, Buffer.concat(bodies)))
      }),
    )
  })

  test('parts of gigabytes are not read for it', () => {
    // 2^20 zeros, put together by doubling: as many times as it takes to 4 GiB.
    const zeros = checksumOf('CRC64NVME', new Uint8Array(1024 * 1024))
    const size = 1024 * 1024
    const twice = (value: string, bytes: number): string =>
      combineChecksums('CRC64NVME', [
        { value, size: bytes },
        { value, size: bytes },
      ])
    let value = zeros
    for (let doubled = 0; doubled < 12; doubled++) value = twice(value, size * 2 ** doubled)
    const atOnce = combineChecksums(
      'CRC64NVME',
      Array.from({ length: 4096 }, () => ({ value: zeros, size })),
    )
    expect(value).toBe(atOnce)
  })

  test('hashes have no such thing', () => {
    expect(combinable).toEqual(['CRC32', 'CRC32C', 'CRC64NVME'])
  })

  test('composite is the hash of the hashes, and how many', () => {
    const [a, b] = ['a', 'b'].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer]
    const whole = createHash('sha256')
      .update(Buffer.concat([a, b]))
      .digest('base64')
    expect(compositeChecksum('SHA256', [a.toString('base64'), b.toString('base64')])).toBe(`${whole}-2`)
  })
})
