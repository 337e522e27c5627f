/** The account a server runs as where this process is root: some servers refuse root, and none needs it. */
import { statSync } from 'node:fs'
import { PortError } from '../errors.ts'
import { type Account, CommandError, run } from './command.ts'

/** Whether this process is root. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

/**
 * An existing account without rights: the first of `names` there is. Creates none.
 * @throws PortError `unsupported` where none exists
 */
export async function unprivilegedAccount(names: readonly string[]): Promise<Account> {
  for (const name of names) {
    try {
      const [uid, gid] = await Promise.all(
        ['-u', '-g'].map(async (flag) => Number(await run('id', [flag, name]))),
      )
      if (uid && gid) return { uid, gid }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
    }
  }
  throw new PortError({
    code: 'unsupported',
    outcome: 'not-applied',
    message: `the server refuses to run as root, and none of the accounts ${names.join(', ')} exists here; run as an ordinary user`,
  })
}

/** The account that owns `path`; `undefined` where it is absent or root's. */
export function ownerOf(path: string): Account | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat === undefined || stat.uid === 0 ? undefined : { uid: stat.uid, gid: stat.gid }
}

/** Whether `account` can read all of `paths` and enter or run them: folders and programs. Asks the system. */
export async function canUse(paths: readonly string[], account: Account | undefined): Promise<boolean> {
  const script = 'for path in "$@"; do test -r "$path" && test -x "$path" || exit 1; done'
  try {
    // From the root folder: the working directory may be closed to the account.
    await run('/bin/sh', ['-c', script, 'portside-can-use', ...paths], { account, cwd: '/' })
    return true
  } catch (error) {
    if (error instanceof CommandError) return false
    throw error
  }
}
