/** Starts a PostgreSQL and a read replica of it that streams from it, each to kill and restart. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { server as postgres } from '../../adapters/postgres/server.ts'
import type { RunningServer } from '../../src/adapter.ts'
import { type OwnServer, pins, startServer } from '../servers.ts'

export interface Replicated extends AsyncDisposable {
  readonly primary: OwnServer
  readonly replica: RunningServer
  /** The URL of a database of its own on the primary, with the replica beside it. */
  readonly url: string
  dispose(): Promise<void>
}

/**
 * The replica begins as a copy of the primary's stopped data folder, for which no program is needed beyond those of
 * the server itself.
 */
export async function startReplicated(): Promise<Replicated> {
  const primary = await startServer('postgres', { durable: true })
  const directory = mkdtempSync(join(tmpdir(), 'portside-replica-'))
  let replica: RunningServer | undefined
  const dispose = async (): Promise<void> => {
    await replica?.stop()
    await primary.dispose()
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const url = await primary.provision('orders')
    await primary.stop()
    // By the system's own program: it keeps the owner, which is not always this user.
    const { status, stderr } = spawnSync('cp', ['-a', `${primary.directory}/.`, directory])
    if (status !== 0) throw new Error(`the primary's folder could not be copied: ${stderr}`)
    await primary.restart()
    const admin = new URL(primary.adminUrl())
    const data = join(directory, 'data')
    const { uid, gid } = statSync(data)
    writeFileSync(join(data, 'standby.signal'), '')
    chownSync(join(data, 'standby.signal'), uid, gid)
    appendFileSync(
      join(data, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=127.0.0.1 port=${admin.port} user=${admin.username} password=${admin.password}'\n`,
    )
    replica = await postgres.start({ version: pins.postgres, directory })
    const at = `127.0.0.1:${replica.port}`
    return {
      primary,
      replica,
      url: `${url}?replica=${encodeURIComponent(at)}`,
      dispose,
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}
