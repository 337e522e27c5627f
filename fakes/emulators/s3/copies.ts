/** Copies: CopyObject, and what UploadPartCopy has in common with it. Content is shared, never copied. */
import { createHash } from 'node:crypto'
import type { Bucket, Checksums, ObjectDescription, ObjectVersion } from '../../object-storage/bucket.ts'
import type { Content } from '../../object-storage/pieces.ts'
import { parseCopySource } from './address.ts'
import {
  checksumElements,
  checkVersionId,
  committing,
  descriptionOf,
  entityTooLarge,
  largestPutBytes,
  type Operation,
  present,
  type S3Call,
  xmlReply,
} from './call.ts'
import { type ChecksumAlgorithm, checksumAlgorithm, createChecksum } from './checksums.ts'
import { checkCopySource, checkWrite, writeCondition } from './conditions.ts'
import { S3Error } from './errors.ts'

/** The version that a copy is made of, and all conditions on it. */
export function copySourceOf(call: S3Call): { readonly version: ObjectVersion; readonly bucket: Bucket } {
  const source = parseCopySource(call.headers['x-amz-copy-source'] ?? '')
  checkVersionId(source.versionId)
  const bucket = call.bucketNamed(source.bucket)
  const version = bucket.get(source.key)
  if (version === undefined) throw new S3Error('NoSuchKey', { fields: { Key: source.key } })
  if (call.dialect.conditionsBeyondPut) checkCopySource(call.headers, version)
  return { version, bucket }
}

export const copyObject: Operation = async (call) => {
  const { bucket, key, headers, dialect } = call
  const source = parseCopySource(headers['x-amz-copy-source'] ?? '')
  const { version, bucket: from } = copySourceOf(call)
  const condition = dialect.conditionsBeyondPut
    ? writeCondition(headers)
    : { ifAbsent: false, ifMatch: undefined }
  const description = copyDescription(call, version)
  const isOntoItself = from === bucket && source.key === key
  const changes = ['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-amz-server-side-encryption']
  if (
    isOntoItself &&
    directive(headers, 'x-amz-metadata-directive') === 'COPY' &&
    changes.every((name) => headers[name] === undefined)
  ) {
    throw new S3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    })
  }
  if (version.content.size > largestPutBytes) throw entityTooLarge(version.content.size)
  checkWrite(condition, key, bucket.get(key))
  const content = from === bucket ? version.content.share() : bucket.contents.adopt(version.content)
  const name = headers['x-amz-checksum-algorithm']
  const algorithm = name === undefined ? undefined : checksumAlgorithm(name)
  const made = await copyFacts(content, version, dialect.copyKeepsEtag, algorithm).catch((error: unknown) => {
    content.release()
    throw error
  })
  committing(content, () => checkWrite(condition, key, bucket.get(key)))
  const stored = bucket.put(key, { content, ...made }, description)
  call.effect(`copied ${source.key} to ${key} (${content.size} bytes)`)
  return xmlReply('CopyObjectResult', {
    LastModified: new Date(stored.lastModifiedMs),
    ETag: dialect.quotedEtagOfCopy ? stored.etag : stored.etag.replaceAll('"', ''),
    ...checksumElements(stored.checksums),
    ...(Object.keys(stored.checksums).length === 0 ? {} : { ChecksumType: stored.checksumType }),
  })
}

/** A copy is one piece, so what is known of a source in parts is not true of it. */
async function copyFacts(
  content: Content,
  { etag, checksums, checksumType }: ObjectVersion,
  keepsEtag: boolean,
  algorithm: ChecksumAlgorithm | undefined,
): Promise<{ readonly etag: string; readonly checksums: Checksums }> {
  const names = algorithm === undefined ? (Object.keys(checksums) as ChecksumAlgorithm[]) : [algorithm]
  const isKnown = checksumType === 'FULL_OBJECT' && names.every((name) => checksums[name] !== undefined)
  const running = isKnown ? [] : names.map((name) => [name, createChecksum(name)] as const)
  const md5 = keepsEtag || !etag.includes('-') ? undefined : createHash('md5')
  // Once for all of them, and not at all where there is nothing to learn: it may be gigabytes.
  if (md5 !== undefined || running.length > 0) {
    for await (const chunk of content.read()) {
      md5?.update(chunk)
      for (const [, checksum] of running) checksum.update(chunk)
    }
  }
  const known = names.map((name) => [name, checksums[name] ?? ''] as const)
  const made = running.map(([name, checksum]) => [name, checksum.digest().toString('base64')] as const)
  return {
    etag: md5 === undefined ? etag : `"${md5.digest('hex')}"`,
    checksums: Object.fromEntries(isKnown ? known : made),
  }
}

function directive(headers: Readonly<Record<string, string>>, name: string): 'COPY' | 'REPLACE' {
  const value = headers[name] ?? 'COPY'
  if (value === 'COPY' || value === 'REPLACE') return value
  const what = name === 'x-amz-tagging-directive' ? 'tagging' : 'metadata'
  throw new S3Error('InvalidArgument', {
    message: `Unknown ${what} directive.`,
    fields: { ArgumentName: name, ArgumentValue: value },
  })
}

function copyDescription(call: S3Call, source: ObjectVersion): ObjectDescription {
  const { headers } = call
  const given = descriptionOf(call)
  const isReplaced = directive(headers, 'x-amz-metadata-directive') === 'REPLACE'
  const isRetagged = directive(headers, 'x-amz-tagging-directive') === 'REPLACE'
  const own = given.headers ?? {}
  // Neither storage class nor redirect is copied.
  const { expires } = source.headers
  return {
    attributes: isReplaced ? given.attributes : source.attributes,
    headers: isReplaced ? own : { ...own, ...present('expires', expires) },
    tags: isRetagged ? (given.tags ?? []) : source.tags,
  }
}

/** The MD5 of content that is there already, and its checksum. */
export async function hashContent(
  content: Content,
  algorithm: ChecksumAlgorithm,
): Promise<{ readonly md5: string; readonly checksums: Checksums }> {
  const [md5, checksum] = [createHash('md5'), createChecksum(algorithm)]
  for await (const chunk of content.read()) {
    md5.update(chunk)
    checksum.update(chunk)
  }
  return { md5: md5.digest('hex'), checksums: { [algorithm]: checksum.digest().toString('base64') } }
}
