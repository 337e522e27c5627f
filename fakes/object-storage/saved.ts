/**
 * A bucket as files: what there is in `state.json`, long bodies beside it in `contents/`, each written once and never
 * changed. A body that is a file already gets a second name there, so saving reads none and copies none where both
 * folders are on one disk.
 */
import { statSync } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ObjectStorage } from '../../src/ports/object-storage.ts'
import { corruptState, readStateFile, stateFileName, writeStateFile } from '../state-file.ts'
import type { Bucket, ObjectVersion, Upload, UploadedPart } from './bucket.ts'
import { linkOrCopy } from './contents.ts'
import { Content, type Piece, type Stretch } from './pieces.ts'

/** Shorter pieces stand in the state itself. */
const inlineBytes = 16 * 1024

interface SavedStretch {
  readonly piece: string
  readonly start: number
  readonly length: number
}

interface SavedPiece {
  readonly id: string
  readonly size: number
  /** Absent where they are a file. */
  readonly bytes?: Uint8Array
}

type Saved<T extends { readonly content: Content }> = Omit<T, 'content'> & {
  readonly content: readonly SavedStretch[]
}

interface SavedUpload extends Omit<Upload, 'parts'> {
  readonly parts: readonly Saved<UploadedPart>[]
}

interface SavedBucket {
  readonly createdMs: number
  readonly region?: string
  readonly tags: Bucket['tags']
  readonly cors?: Bucket['cors']
  readonly pieces: readonly SavedPiece[]
  readonly objects: readonly (readonly [key: string, version: Saved<ObjectVersion>])[]
  readonly uploads: readonly SavedUpload[]
}

/** Writes `bucket` as it is at this moment. */
export async function saveBucket(bucket: Bucket, folder: string, nowMs: number): Promise<void> {
  const pieces = new Map<string, Piece>()
  const held: Content[] = []
  const saved = <T extends { readonly content: Content }>({ content, ...rest }: T): Saved<T> => {
    // Held until it is written: it may be overwritten and go meanwhile.
    held.push(content.share())
    for (const { piece } of content.stretches) pieces.set(piece.id, piece)
    return { ...rest, content: content.stretches.map(savedStretch) }
  }
  const objects = bucket.keys().flatMap((key) => {
    const version = bucket.get(key)
    return version === undefined ? [] : [[key, saved(version)] as const]
  })
  const uploads = [...bucket.uploads.values()].map((upload) => ({
    ...upload,
    parts: [...upload.parts.values()].map((part) => saved(part)),
  }))
  const { createdMs, region, tags, cors } = bucket
  try {
    const written = await writePieces([...pieces.values()], join(folder, 'contents'))
    const state = { createdMs, region, tags, cors, pieces: written, objects, uploads }
    await writeStateFile(folder, ObjectStorage.name, { nowMs, state })
    await removeOthers(join(folder, 'contents'), pieces)
  } finally {
    for (const content of held) content.release()
  }
}

function savedStretch({ piece, start, length }: Stretch): SavedStretch {
  return { piece: piece.id, start, length }
}

async function writePieces(pieces: readonly Piece[], folder: string): Promise<readonly SavedPiece[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const written: SavedPiece[] = []
  for (const { id, size, bytes, path } of pieces) {
    if (bytes !== undefined && size <= inlineBytes) {
      written.push({ id, size, bytes })
      continue
    }
    written.push({ id, size })
    const name = join(folder, id)
    if ((await stat(name).catch(() => undefined))?.size === size) continue
    // Under its own name only when it is whole.
    const half = `${name}.half`
    await rm(half, { force: true })
    if (bytes === undefined) linkOrCopy(path ?? '', half)
    else await writeFile(half, bytes)
    await rename(half, name)
  }
  return written
}

/** What the state that was just written does not speak of. */
async function removeOthers(folder: string, pieces: ReadonlyMap<string, Piece>): Promise<void> {
  for (const name of await readdir(folder)) {
    const piece = pieces.get(name)
    const isKept = piece !== undefined && (piece.bytes === undefined || piece.size > inlineBytes)
    if (!isKept) await rm(join(folder, name), { force: true })
  }
}

/**
 * Puts what was saved in place of what `bucket` holds.
 * @returns the time of the save
 * @throws PortError as `Fake.load`
 */
export async function loadBucket(bucket: Bucket, folder: string): Promise<number> {
  const { nowMs, state } = await readStateFile(folder, ObjectStorage.name)
  const pieces = new Map<string, Content>()
  try {
    const found = state as SavedBucket
    for (const { id, size, bytes } of found.pieces) {
      pieces.set(id, bucket.contents.restore(id, size, bytes ?? fileOf(folder, id, size)))
    }
    const restored = <T extends { readonly content: Content }>({ content, ...rest }: Saved<T>): T =>
      ({
        ...rest,
        content: new Content(content.flatMap((each) => stretchesOf(pieces, each))),
      }) as unknown as T
    const objects = found.objects.map(([key, version]) => [key, restored<ObjectVersion>(version)] as const)
    const uploads = found.uploads.map((upload) => {
      const parts = upload.parts.map((part) => restored<UploadedPart>(part))
      return { ...upload, parts: new Map(parts.map((part) => [part.number, part])) }
    })
    // From here on nothing fails.
    bucket.clear()
    for (const [key, version] of objects) bucket.restore(key, { ...version, parts: version.parts })
    for (const upload of uploads) {
      bucket.resume({
        ...upload,
        checksumAlgorithm: upload.checksumAlgorithm,
        checksumType: upload.checksumType,
      })
    }
    bucket.createdMs = found.createdMs
    bucket.region = found.region
    bucket.tags = found.tags
    bucket.cors = found.cors
  } catch (cause) {
    throw corruptState(join(folder, stateFileName), 'it is not of the form that this fake writes', cause)
  } finally {
    for (const content of pieces.values()) content.release()
  }
  return nowMs
}

function fileOf(folder: string, id: string, size: number): string {
  if (!/^[0-9a-f-]{36}$/.test(id)) throw new Error(`"${id}" names no content`)
  const path = join(folder, 'contents', id)
  if (statSync(path).size !== size) throw new Error(`the content ${id} is not as long as it was`)
  return path
}

function stretchesOf(
  pieces: ReadonlyMap<string, Content>,
  { piece, start, length }: SavedStretch,
): readonly Stretch[] {
  const whole = pieces.get(piece)
  if (whole === undefined || start + length > whole.size) throw new Error(`there is no content ${piece}`)
  return whole.share(start, start + length).stretches
}
