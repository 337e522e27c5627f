/**
 * A database for each test: a copy of its template, with a role of its own that has no right anywhere else. Copies are made
 * ahead of need and belong to no one until a test takes one, so that the next file or process finds them.
 *
 * Which way of copying is faster depends on the template's size and the server's disk: both are timed on the first copies.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { PortError } from '../../src/errors.ts'
import type { PlaceSupply, SupplyOptions, TestIsolation, TestPlace } from '../../src/servers/isolation.ts'
import { Registry } from './registry.ts'
import { scramVerifier } from './scram.ts'
import { dropDatabase, dropUnused, openTemplate, placeUrl, type Template, unusedDays } from './templates.ts'

/** How many databases of failed tests are kept for each service. */
const kept = 10
/** How many copies each way is timed on. */
const samples = 3

/** Tests apart on one PostgreSQL, 13 or later. The administrator must be a superuser. */
export const isolation: TestIsolation = {
  async supply(adminUrl, options) {
    const registry = await Registry.open(adminUrl)
    try {
      const template = await openTemplate(registry, options)
      const supply = new Supply(registry, template, options)
      supply.begin()
      return supply
    } catch (error) {
      await registry.close()
      throw error
    }
  },
}

type Strategy = 'wal_log' | 'file_copy'

class Supply implements PlaceSupply {
  readonly #registry: Registry
  readonly #template: Template
  readonly #options: SupplyOptions
  /** Everything in the background, one step after another: copying and dropping wait for the disk, not for each other. */
  #background: Promise<void> = Promise.resolve()
  #refilling = false
  #closing = false

  constructor(registry: Registry, template: Template, options: SupplyOptions) {
    this.#registry = registry
    this.#template = template
    this.#options = options
  }

  begin(): void {
    this.#later(() => this.#sweep())
  }

  async take(): Promise<TestPlace> {
    if (this.#closing)
      throw new PortError({ code: 'closed', message: 'the supply of test databases is closed' })
    const name = (await this.#claimReady()) ?? (await this.#make('used'))
    const password = randomBytes(24).toString('base64url')
    const role = pg.escapeIdentifier(name)
    const verifier = pg.escapeLiteral(scramVerifier(password))
    await this.#registry.pool.query(`alter role ${role} login password ${verifier}`)
    this.#refill()
    return {
      url: placeUrl(this.#registry, name, password, name),
      drop: async () => {
        if ((await this.#retire(name)) === 0) return
        this.#later(() => this.#drop(name))
      },
      keep: (reason) => this.#keep(name, reason),
    }
  }

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#later(async () => {
      const { rows } = await this.#registry.pool.query<{ name: string }>(
        `update portside_tests.places set state = 'dropping' where key = $1 and state = 'used' returning name`,
        [this.#registry.owner.key],
      )
      for (const { name } of rows) await this.#drop(name)
    })
    await this.#background
    await this.#registry.close()
  }

  async #claimReady(): Promise<string | undefined> {
    const { rows } = await this.#registry.pool.query<{ name: string }>(
      `update portside_tests.places set state = 'used', service = $2, at = now(),
         host = $3, pid = $4, started_at = $5, key = $6
       where name = (
         select name from portside_tests.places where template = $1 and state = 'ready'
         order by at limit 1 for update skip locked
       ) returning name`,
      [this.#template.name, this.#options.service, ...this.#owner()],
    )
    return rows[0]?.name
  }

  #owner(): readonly (string | number)[] {
    const { host, pid, startedAt, key } = this.#registry.owner
    return [host, pid, startedAt, key]
  }

  /** A new copy. Its row comes first, so that whatever becomes of this process the copy is known. */
  async #make(state: 'used' | 'ready'): Promise<string> {
    const { pool } = this.#registry
    const { name: template, group, owned } = this.#template
    const name = `portside_${template.slice(-16, -8)}_${randomBytes(5).toString('hex')}`
    const id = pg.escapeIdentifier(name)
    await pool.query(
      `insert into portside_tests.places (name, template, service, state, host, pid, started_at, key)
       values ($1, $2, $3, 'making', $4, $5, $6, $7)`,
      [name, template, this.#options.service, ...this.#owner()],
    )
    try {
      await pool.query(`create role ${id} nologin in role ${pg.escapeIdentifier(group)}`)
      const strategy = await this.#strategy()
      const start = performance.now()
      await pool.query(
        `create database ${id} template ${pg.escapeIdentifier(template)} ${owned ? `owner ${id}` : ''} ${strategy === undefined ? '' : `strategy ${strategy}`}`,
      )
      const ms = performance.now() - start
      // What production's databases allow by default, to this role alone.
      await pool.query(`revoke all on database ${id} from public`)
      if (!owned) await pool.query(`grant connect, temporary on database ${id} to ${id}`)
      if (strategy !== undefined) await this.#timed(strategy, ms)
      await pool.query(`update portside_tests.places set state = $2 where name = $1`, [name, state])
      return name
    } catch (error) {
      await this.#drop(name).catch(() => {
        // Why it could not be made is what to tell; the next sweep finds the row.
      })
      throw error
    }
  }

  /** The way that has been timed less often, and then the faster one; `undefined` where the server knows one only. */
  async #strategy(): Promise<Strategy | undefined> {
    const { rows } = await this.#registry.pool.query<{
      strategies: boolean
      wal_log_ms: readonly number[]
      file_copy_ms: readonly number[]
    }>(
      `select current_setting('server_version_num')::int >= 150000 as strategies, wal_log_ms, file_copy_ms
       from portside_tests.templates where name = $1`,
      [this.#template.name],
    )
    const [row] = rows
    if (!row?.strategies) return undefined
    const { wal_log_ms: wal, file_copy_ms: file } = row
    if (wal.length < samples || file.length < samples)
      return file.length < wal.length ? 'file_copy' : 'wal_log'
    return median(file) < median(wal) ? 'file_copy' : 'wal_log'
  }

  async #timed(strategy: Strategy, ms: number): Promise<void> {
    const column = `${strategy}_ms`
    await this.#registry.pool.query(
      `update portside_tests.templates set ${column} = ${column} || $2::real
       where name = $1 and cardinality(${column}) < $3`,
      [this.#template.name, ms, samples],
    )
  }

  /** Makes copies ahead of need, one at a time. Those that other processes are making count. */
  #refill(): void {
    if (this.#refilling || this.#closing) return
    this.#refilling = true
    this.#later(async () => {
      try {
        while (!this.#closing && (await this.#tooFew())) await this.#make('ready')
      } finally {
        this.#refilling = false
      }
    })
  }

  async #tooFew(): Promise<boolean> {
    const { rows } = await this.#registry.pool.query<{ count: number }>(
      `select count(*)::int as count from portside_tests.places where template = $1 and state in ('ready', 'making')`,
      [this.#template.name],
    )
    return (rows[0]?.count ?? 0) < (this.#options.ready ?? 3)
  }

  /** Nobody can take it any more; answers 0 where that was so before. */
  async #retire(name: string): Promise<number> {
    const { rowCount } = await this.#registry.pool.query(
      `update portside_tests.places set state = 'dropping' where name = $1 and state = 'used'`,
      [name],
    )
    return rowCount ?? 0
  }

  async #drop(name: string): Promise<void> {
    const { pool } = this.#registry
    await dropDatabase(pool, name)
    await pool.query(`drop role if exists ${pg.escapeIdentifier(name)}`)
    await pool.query('delete from portside_tests.places where name = $1', [name])
  }

  async #keep(name: string, reason: string): Promise<void> {
    const { pool } = this.#registry
    await pool.query(
      `update portside_tests.places set state = 'kept', reason = $2, at = now() where name = $1 and state = 'used'`,
      [name, reason],
    )
    // What the failed test left running would go on changing what a person looks at.
    await pool.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name])
    this.#later(async () => {
      const { rows } = await pool.query<{ name: string }>(
        `update portside_tests.places set state = 'dropping', host = $3, pid = $4, started_at = $5, key = $6
         where name in (
           select name from portside_tests.places where service = $1 and state = 'kept'
           order by at desc offset $2 for update skip locked
         ) returning name`,
        [this.#options.service, kept, ...this.#owner()],
      )
      for (const old of rows) await this.#drop(old.name)
    })
  }

  /** Drops what processes left that have ended, and what belongs to templates that no one uses any more. */
  async #sweep(): Promise<void> {
    const { pool } = this.#registry
    const names: string[] = []
    for (const { name, key } of await this.#registry.abandoned()) {
      const { rowCount } = await pool.query(
        `update portside_tests.places set state = 'dropping', host = $3, pid = $4, started_at = $5, key = $6
         where name = $1 and key = $2`,
        [name, key, ...this.#owner()],
      )
      if (rowCount === 1) names.push(name)
    }
    const { rows } = await pool.query<{ name: string }>(
      `update portside_tests.places set state = 'dropping', host = $2, pid = $3, started_at = $4, key = $5
       where state = 'ready' and template in (
         select name from portside_tests.templates where used_at < now() - make_interval(days => $1)
       ) returning name`,
      [unusedDays, ...this.#owner()],
    )
    for (const name of [...names, ...rows.map((row) => row.name)]) await this.#drop(name)
    await dropUnused(this.#registry)
  }

  #later(step: () => Promise<void>): void {
    this.#background = this.#background.then(step).catch((error: unknown) => {
      // No test fails for it: a place that could not be made ahead is made when it is asked for, what was not dropped is swept.
      this.#options.onProgress?.(`test databases: ${error instanceof Error ? error.message : String(error)}`)
    })
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
