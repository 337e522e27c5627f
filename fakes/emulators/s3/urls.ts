/** The signed URLs of the object storage fake: the S3 emulator on loopback, started with the first URL. */
import { randomBytes } from 'node:crypto'
import { PortError } from '../../../src/errors.ts'
import type { SignUrlOptions } from '../../../src/ports/object-storage.ts'
import type { FakeObjectStorage } from '../../object-storage.ts'
import { listen } from '../http.ts'
import { encodeRfc3986 } from './address.ts'
import { dialects } from './dialects.ts'
import { S3Service } from './service.ts'
import { presign } from './signing.ts'

/** Signs URLs for one fake and answers them. */
export interface SignedUrls {
  sign(key: string, options: SignUrlOptions): URL
  close(): Promise<void>
}

const bucket = 'fake-bucket'
const region = 'us-east-1'

/** Keeps no process alive. */
export async function openSignedUrls(storage: FakeObjectStorage): Promise<SignedUrls> {
  const accessKeyId = `FAKE${randomBytes(8).toString('hex').toUpperCase()}`
  const secretAccessKey = randomBytes(30).toString('base64')
  const service = new S3Service({
    storages: new Map([[bucket, storage]]),
    createStorage: () => {
      throw new PortError({ code: 'unsupported', message: 'signed URLs make no buckets' })
    },
    onRemoved: async () => {},
    credentials: [{ accessKeyId, secretAccessKey }],
    dialect: dialects.aws,
    region,
    isRegionChecked: true,
    hosts: undefined,
    clock: storage.clock,
    isSignedByClock: true,
  })
  const server = await listen(service, { keepsProcess: false })
  return {
    sign(key, { method = 'GET', expiresInMs, contentType }) {
      const path = key.split('/').map(encodeRfc3986).join('/')
      const url = presign({
        method,
        url: `${server.origin}/${bucket}/${path}`,
        accessKeyId,
        secret: secretAccessKey,
        region,
        nowMs: storage.clock.now(),
        expiresSeconds: Math.floor(expiresInMs / 1_000),
        ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      })
      return new URL(url)
    },
    close: () => server.close(),
  }
}
