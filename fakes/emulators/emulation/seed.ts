/** Seeds as plain data: what was there before the first request. Bodies stand in the seed or in files beside it. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { invalidArgument, PortError } from '../../../src/errors.ts'
import { object, type Schema, text } from '../control/schema.ts'

/** A body in a seed: text, or bytes in base64, or the path of a file. */
export type SeedBody = string | { readonly base64: string } | { readonly file: string }

export const seedBody: Schema = {
  description:
    'text, or bytes in base64, or (in a seed file only) the path of a file, from the folder of the seed',
  anyOf: [
    text(),
    object({ base64: text(undefined, { pattern: '^[A-Za-z0-9+/]*={0,2}$' }) }),
    object({ file: text() }),
  ],
}

/** Where the files are that a seed names; `undefined` where it may name none, as it came over the network. */
export type SeedFolder = string | undefined

/** @throws PortError `invalid-argument` where the file cannot be read, or none may be named */
export async function bytesOf(
  name: string,
  body: SeedBody,
  folder: SeedFolder,
): Promise<Uint8Array | string> {
  if (typeof body === 'string') return body
  if ('base64' in body) return Buffer.from(body.base64, 'base64')
  if (folder === undefined)
    throw invalidArgument(`${name} names a file, which only a seed file may; give text or base64`)
  try {
    return await readFile(resolve(folder, body.file))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const message = `${name}: the file ${body.file} cannot be read (${code})`
    throw new PortError({ code: 'invalid-argument', message, cause })
  }
}

/** Runs `check` for one entry of a seed, whose name its errors get. */
export function checkEntry(name: string, check: () => void): void {
  try {
    check()
  } catch (cause) {
    throw PortError.is(cause)
      ? new PortError({ code: 'invalid-argument', message: `${name}: ${cause.detail}`, cause })
      : cause
  }
}
