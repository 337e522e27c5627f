import type { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/calls/clock.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { s3 } from './index.ts'

function problems(text: string): readonly string[] {
  const parsed = ServiceUrl.parse(text, s3.parameters)
  return 'url' in parsed ? (s3.validate?.(parsed.url) ?? []) : parsed.problems
}

async function clientOf(text: string): Promise<S3Client> {
  const parsed = ServiceUrl.parse(text, s3.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await s3.open(parsed.url, { service: 'objects', clock: systemClock })
  return driver.native as S3Client
}

describe('its URL', () => {
  test.each([
    s3.example,
    's3://bucket?region=eu-west-1',
    's3://KEY:SECRET@my.bucket-1?endpoint=http://127.0.0.1:9000&pathStyle=true&checksums=when-required',
    's3://KEY:SECRET@bucket?region=x&sessionToken=abc&partSizeBytes=5242880&lacks=put-if-match,signed-urls',
  ])('%s is fine', (text) => {
    expect(problems(text)).toEqual([])
  })

  test.each([
    ['s3://bucket', /"region"/],
    ['s3://KEY@bucket?region=x', /secret key/],
    ['s3://bucket?region=x&sessionToken=abc', /sessionToken/],
    ['s3://bucket/path?region=x', /path/],
    ['s3://bucket:9000?region=x', /port/],
    ['s3://Bucket?region=x', /bucket/],
    ['s3://b?region=x', /bucket/],
    ['s3:///?region=x', /bucket/],
    ['s3://bucket?endpoint=127.0.0.1:9000', /http/],
    ['s3://bucket?endpoint=ftp://host', /http/],
    ['s3://bucket?endpoint=http://user:canary@host', /http/],
    ['s3://bucket?region=x&lacks=putIfMatch', /put-if-match/],
    ['s3://bucket?region=x&partSizeBytes=1024', /partSizeBytes/],
    ['s3://bucket?region=x&unknown=1', /unknown/],
    ['s3://bucket?region=x&checksums=never', /checksums/],
  ])('%s is refused', (text, expected) => {
    const found = problems(text)
    expect(found.join('; ')).toMatch(expected)
    expect(found.join('; ')).not.toContain('canary')
  })
})

describe('the client it builds', () => {
  test('has the credentials decoded and leaves retries to the guard', async () => {
    const client = await clientOf('s3://KEY%2F1:SE%2FCR%2BET@bucket?region=eu-west-1&sessionToken=to%2Bken')
    expect(await client.config.credentials()).toMatchObject({
      accessKeyId: 'KEY/1',
      secretAccessKey: 'SE/CR+ET',
      sessionToken: 'to+ken',
    })
    expect(await client.config.maxAttempts()).toBe(1)
    expect(await client.config.region()).toBe('eu-west-1')
    expect(await client.config.requestChecksumCalculation()).toBe('WHEN_SUPPORTED')
    client.destroy()
  })
})
