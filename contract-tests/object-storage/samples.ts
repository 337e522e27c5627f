/** What the behaviours of object storage share: odd keys, bodies, shorthand. */

import { readBytes } from '../../src/calls/bytes.ts'
import type { ObjectStorage, StoredObject } from '../../src/ports/object-storage.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'

export type ObjectBehaviour = Behaviour<ObjectStorage>

/** What a subject's `inside` offers to the behaviours of object storage. */
export interface ObjectStorageInside {
  /** How many uploads in parts are neither completed nor removed. Also after the subject is closed. */
  openUploads(): Promise<number>
}

export function insideOf(context: BehaviourContext<ObjectStorage>): ObjectStorageInside {
  return context.inside as ObjectStorageInside
}

/** Waits until `holds`. The bound only tells what never does from what is late. */
export async function until(holds: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  for (let turn = 0; turn < 2_000; turn += 1) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(otherwise)
}

/** Keys that naive code alters: each must come back exactly, or nothing is safe. */
export const oddKeys: readonly string[] = [
  'plain.txt',
  ' leading and trailing ',
  '/leading-slash',
  'trailing-slash/',
  'a//b',
  'a/./b',
  'a/b/../c',
  '.',
  'dot.',
  '...',
  '~tilde',
  'plus+sign and space',
  'per%cent %2F %00',
  'quote"apostrophe\'',
  '<tag attribute="1">&amp;</tag>',
  'back\\slash',
  'query?a=b&c=d#fragment',
  'semi;colon:comma,equals=@$!*()[]{}|^`',
  'tab\tnewline\ncarriage\rreturn',
  'control\u0001\u001b\u007f',
  'é composed',
  'e\u0301 decomposed',
  'ﷺ \u202eright to left',
  '👩‍👩‍👧‍👦 family',
  '\uffff last of the plane',
  '日本語/キー',
  'UPPER lower',
  'constructor',
  '__proto__',
  'k'.repeat(1_024),
  '😀'.repeat(256),
]

/** `length` bytes that differ from place to place, so that a part out of order shows. */
export function pattern(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed
  for (let index = 0; index < words.length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    words[index] = state
  }
  return new Uint8Array(words.buffer).slice(0, length)
}

/** `bytes` as a stream of chunks. */
export async function* streamOf(
  bytes: Uint8Array,
  chunkBytes: number = 64 * 1024,
): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    yield bytes.subarray(start, start + chunkBytes)
  }
}

/** Longer than two parts of any adapter's default size. */
export const severalPartsBytes: number = 17 * 1024 * 1024 + 3
/** Longer than one part of any adapter's default size. */
export const overOnePartBytes: number = 9 * 1024 * 1024 + 1

/** Like `deepEqual` on bytes, without printing millions of them. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array): boolean {
  return Buffer.compare(actual, expected) === 0
}

/** The bytes of an object that must be there. */
export async function bytesOf(object: StoredObject | undefined): Promise<Uint8Array> {
  if (object === undefined) throw new Error('the object is absent')
  return readBytes(object.body)
}

/** The content of `key` as text; `undefined` where absent. */
export async function textAt(port: ObjectStorage, key: string): Promise<string | undefined> {
  const object = await port.get(key)
  return object && Buffer.from(await bytesOf(object)).toString()
}

/** Puts an empty object under each key. */
export async function putAll(port: ObjectStorage, keys: readonly string[]): Promise<void> {
  const left = [...keys]
  const worker = async (): Promise<void> => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) await port.put(key, '')
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}
