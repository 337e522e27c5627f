/** Where each adapter says that its client connects first. */
import { expect, test } from 'vitest'
import { postgres } from '../../adapters/postgres/index.ts'
import { redis } from '../../adapters/redis/index.ts'
import { s3 } from '../../adapters/s3/index.ts'
import { smtp } from '../../adapters/smtp/index.ts'
import { x } from '../../adapters/x/index.ts'
import type { NetworkEndpoint } from '../adapter.ts'
import { ServiceUrl } from './url.ts'

test.each<[{ readonly name: string }, string, NetworkEndpoint | undefined]>([
  [postgres, 'postgres://u:p@db.test/orders', { host: 'db.test', port: 5432 }],
  [postgres, 'postgres://u:p@[::1]:6000/orders', { host: '::1', port: 6000 }],
  [redis, 'redis://cache.test', { host: 'cache.test', port: 6379 }],
  [redis, 'rediss://cache.test:6380/0', { host: 'cache.test', port: 6380 }],
  [smtp, 'smtp://mail.test', { host: 'mail.test', port: 587 }],
  [smtp, 'smtps://mail.test', { host: 'mail.test', port: 465 }],
  [smtp, 'smtp://mail.test:25', { host: 'mail.test', port: 25 }],
  [x, 'x://bearer:t@api.x.com', { host: 'api.x.com', port: 443 }],
  [x, 'x+http://bearer:t@127.0.0.1:8080', { host: '127.0.0.1', port: 8080 }],
  [s3, 's3://k:s@bucket?endpoint=http%3A%2F%2Fs3.test', { host: 's3.test', port: 80 }],
  [s3, 's3://k:s@bucket?endpoint=https%3A%2F%2F%5B%3A%3A1%5D%3A9000', { host: '::1', port: 9000 }],
  // The region decides, and the SDK knows how.
  [s3, 's3://k:s@bucket?region=eu-central-1', undefined],
])('of $0.name: %s', (adapter, text, expected) => {
  const { parameters, endpoint } = adapter as typeof postgres
  const parsed = ServiceUrl.parse(text, parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join())
  expect(endpoint?.(parsed.url)).toEqual(expected)
})
