/** The checks of the arguments of object storage: what no such service could take, or would alter. */
import { byteLength, checkFields, checkInteger, checkKey, checkText, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'

/** The most a key may have, in UTF-8 bytes. */
const longestKeyBytes = 1_024
/** The most user metadata, and the most of the other attributes, in bytes of names and values together. */
const mostMetadataBytes = 2_048

/** The header that each attribute goes in, which counts towards what S3 takes. */
const headerNames: Readonly<Record<string, string>> = {
  contentType: 'content-type',
  cacheControl: 'cache-control',
  contentDisposition: 'content-disposition',
  contentEncoding: 'content-encoding',
  contentLanguage: 'content-language',
}
/** The fields of `ObjectAttributes`. */
export const attributeFields: readonly string[] = [...Object.keys(headerNames), 'metadata']
/** What an object without a content type has. */
const defaultContentType = 'application/octet-stream'

export function checkObjectKey(name: string, key: unknown): asserts key is string {
  checkKey(name, key, longestKeyBytes)
  let depth = 0
  for (const segment of key.split('/')) {
    if (segment === '') continue
    depth += segment === '..' ? -1 : 1
    if (depth < 0) {
      throw invalidArgument(`${name} leads above its own beginning with ".." segments, which S3 refuses`)
    }
  }
}

export function checkAttributes(attributes: Readonly<Record<string, unknown>>): void {
  let bytes = 0
  for (const [name, header] of Object.entries(headerNames)) {
    const given = attributes[name]
    const value = given === undefined && name === 'contentType' ? defaultContentType : given
    if (value === undefined) continue
    checkHeader(name, value)
    bytes += header.length + value.length
  }
  if (bytes > mostMetadataBytes) {
    throw invalidArgument(
      `the content attributes are ${bytes} bytes long with the names of their headers; at most ${mostMetadataBytes} are possible`,
    )
  }
  // S3 takes this word for its own framing and takes it out of what it stores.
  if (/\baws-chunked\b/i.test(String(attributes.contentEncoding ?? ''))) {
    throw invalidArgument('contentEncoding must not be aws-chunked, which S3 keeps for itself')
  }
  if (attributes.metadata !== undefined) checkMetadata(attributes.metadata)
}

export function checkMetadata(metadata: unknown): void {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw invalidArgument(`metadata must be an object; got ${typeName(metadata)}`)
  }
  let bytes = 0
  for (const [name, value] of Object.entries(metadata)) {
    checkText('the name of a metadata entry', name)
    if (!/^[a-z0-9][a-z0-9!#$%&'*+.^_`|~-]*$/.test(name)) {
      throw invalidArgument(
        `metadata name ${JSON.stringify(name.slice(0, 60))} must be lower-case letters, digits and header characters, beginning with a letter or digit`,
      )
    }
    checkHeader(`metadata "${name.slice(0, 60)}"`, value)
    bytes += byteLength(name) + byteLength(value)
  }
  if (bytes > mostMetadataBytes) {
    throw invalidArgument(`metadata is ${bytes} bytes long; at most ${mostMetadataBytes} are possible`)
  }
}

/** A value that passes through an HTTP header unchanged. */
export function checkHeader(name: string, value: unknown): asserts value is string {
  checkText(name, value)
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value)) {
    throw invalidArgument(
      `${name} must be printable ASCII, not empty, without space at either end; encode other text first`,
    )
  }
}

export function checkEtag(name: string, value: unknown): void {
  checkText(name, value)
  if (!/^"[\x21\x23-\x7e]{1,1024}"$/.test(value)) {
    throw invalidArgument(`${name} must be an etag as it was given, with its quotes`)
  }
}

export function checkSha256(value: unknown): asserts value is string {
  checkText('sha256', value)
  if (!/^[A-Za-z0-9+/]{43}=$/.test(value) || Buffer.from(value, 'base64').toString('base64') !== value) {
    throw invalidArgument('sha256 must be the 32 bytes of a SHA-256 in base64, 44 characters long')
  }
}

export function checkRange(value: unknown): void {
  checkFields('range', value, ['start', 'end', 'suffix'])
  const { start, end, suffix } = value as Readonly<Record<string, unknown>>
  if (suffix !== undefined) {
    if (start !== undefined || end !== undefined) {
      throw invalidArgument('a range has either a suffix or a start, not both')
    }
    checkInteger('range.suffix', suffix, { min: 1 })
    return
  }
  checkInteger('range.start', start, { min: 0 })
  if (end === undefined) return
  checkInteger('range.end', end, { min: 0 })
  if (end < start) throw invalidArgument('range.end must not be before range.start; both are inclusive')
}

export function checkQuery({ prefix, delimiter, startAfter }: Readonly<Record<string, unknown>>): void {
  if (prefix !== undefined && prefix !== '') checkKey('prefix', prefix, longestKeyBytes)
  if (delimiter !== undefined) checkKey('delimiter', delimiter, longestKeyBytes)
  if (startAfter !== undefined) checkKey('startAfter', startAfter, longestKeyBytes)
}
