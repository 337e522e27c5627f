/** Tags of objects, and what those of buckets have in common with them. */
import { checkTags, type Operation, objectOf, readBody, type S3Call, xmlReply } from './call.ts'
import { S3Error } from './errors.ts'
import { childrenOf, readXml, textOf } from './read-xml.ts'
import type { XmlTree } from './xml.ts'

export const getObjectTagging: Operation = (call) => xmlReply('Tagging', tagTree(objectOf(call).tags))

export const putObjectTagging: Operation = async (call) => {
  const tags = await readTags(call, 10)
  const { bucket, key } = call
  bucket.describe(key, objectOf(call), { tags })
  call.effect(`tagged ${key}`)
  return { status: 200 }
}

export const deleteObjectTagging: Operation = (call) => {
  const { bucket, key } = call
  bucket.describe(key, objectOf(call), { tags: [] })
  call.effect(`untagged ${key}`)
  return { status: 204 }
}

/** Tags as elements. */
export function tagTree(tags: readonly (readonly [string, string])[]): XmlTree {
  return { TagSet: { Tag: tags.map(([name, value]) => ({ Key: name, Value: value })) } }
}

/** The tags in a body. Throws `MalformedXML`, `InvalidTag`, `BadRequest`. */
export async function readTags(call: S3Call, most: number): Promise<readonly (readonly [string, string])[]> {
  const [set] = childrenOf(readXml(await readBody(call), { root: 'Tagging' }), 'TagSet')
  if (set === undefined) throw new S3Error('MalformedXML')
  const tags = childrenOf(set, 'Tag').map((tag) => {
    const [name, value] = [textOf(tag, 'Key'), textOf(tag, 'Value')]
    if (name === undefined || value === undefined) throw new S3Error('MalformedXML')
    return [name, value] as const
  })
  return checkTags(tags, most)
}
