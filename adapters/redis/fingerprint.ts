/**
 * What two servers of Redis or Valkey of one version may still differ in: what happens when memory is full, what is
 * kept through a crash, which modules there are, one server or a cluster, what the user may do. From INFO, which any
 * user may be allowed, and from CONFIG GET, MODULE LIST and ACL where the user may call them. Passwords and their
 * hashes are never taken.
 */
import type { Redis } from 'ioredis'
import type { Fact, FactDrift, Fingerprint, Severity } from '../../src/adapter.ts'
import {
  type CommandParts,
  isCluster,
  listOf,
  pairsOf,
  type RedisConnection,
  type Reply,
} from './connection.ts'

/** Fields of INFO: the name of the fact, and how much a difference matters. */
const infoFields: Readonly<Record<string, readonly [name: string, severity: Severity]>> = {
  redis_mode: ['mode', 'high'],
  cluster_enabled: ['cluster', 'high'],
  maxmemory_policy: ['eviction.policy', 'high'],
  maxmemory: ['memory.max', 'medium'],
  aof_enabled: ['persistence.append-only', 'high'],
  role: ['replication.role', 'high'],
  connected_slaves: ['replication.replicas', 'low'],
  os: ['platform', 'low'],
  arch_bits: ['platform.bits', 'low'],
  mem_allocator: ['memory.allocator', 'low'],
}

const configFields: Readonly<Record<string, readonly [name: string, severity: Severity]>> = {
  appendfsync: ['persistence.fsync', 'high'],
  save: ['persistence.snapshots', 'medium'],
  databases: ['databases', 'medium'],
  timeout: ['connections.idle-seconds', 'medium'],
  maxclients: ['connections.max', 'medium'],
  'notify-keyspace-events': ['notifications', 'medium'],
  'proto-max-bulk-len': ['values.max-bytes', 'medium'],
  'min-replicas-to-write': ['replication.min-replicas', 'medium'],
  'min-replicas-max-lag': ['replication.max-lag-seconds', 'medium'],
  'replica-serve-stale-data': ['replication.serve-stale', 'medium'],
  'stop-writes-on-bgsave-error': ['persistence.stop-on-error', 'medium'],
  'aof-load-truncated': ['persistence.load-truncated', 'medium'],
  'cluster-require-full-coverage': ['cluster.full-coverage', 'medium'],
}

/** What is taken of `ACL GETUSER`. */
const rights: readonly string[] = ['flags', 'commands', 'keys', 'channels', 'selectors']

type Found = Map<string, Fact>

/** Of every primary; where they differ, all of their values. */
export async function fingerprintRedis(
  connection: RedisConnection,
  signal: AbortSignal,
): Promise<Fingerprint> {
  const unknown: Record<string, string> = {}
  const nodes = await connection.primaries(signal)
  const each = await Promise.all(nodes.map((node) => factsOf(connection, node, signal, unknown)))
  const names = [...new Set(each.flatMap((facts) => [...facts.keys()]))].toSorted()
  const facts: Record<string, Fact> = {}
  const drift: FactDrift[] = []
  for (const name of names) {
    const found = each.map((of) => of.get(name))
    const [first] = found.filter((fact) => fact !== undefined)
    const values = [...new Set(found.map((fact) => fact?.value ?? 'absent'))].toSorted()
    if (first === undefined) continue
    const { severity } = first
    facts[name] = { value: values.join(' | '), severity }
    // Machines may differ a little from each other; what the app meets may not.
    if (values.length > 1 && severity !== 'low')
      drift.push({ severity, what: name, expected: 'the same on every node', found: values.join(' | ') })
  }
  if (isCluster(connection.client)) facts['cluster.primaries'] = { value: `${nodes.length}`, severity: 'low' }
  return { facts, unknown, drift }
}

async function factsOf(
  connection: RedisConnection,
  node: Redis,
  signal: AbortSignal,
  unknown: Record<string, string>,
): Promise<Found> {
  const found: Found = new Map()
  /** @param names what is not known where the user may not ask: facts, or the word before the dot of many */
  const ask = async (parts: CommandParts, ...names: readonly string[]): Promise<Reply | undefined> => {
    try {
      return await connection.send(parts, signal, node)
    } catch (error) {
      const reason = refusalOf(error)
      if (reason === undefined) throw error
      for (const name of names) unknown[name] = reason
      return undefined
    }
  }
  const info = await ask(['info'], ...Object.values(infoFields).map(([name]) => name))
  if (info !== undefined) {
    addFields(infoOf(String(info)), infoFields, found)
    for (const [name] of Object.values(infoFields)) {
      if (!found.has(name)) unknown[name] = 'the server does not tell it'
    }
  }
  // One parameter a call, because several in one came with Redis 7.
  for (const parameter of Object.keys(configFields)) {
    const [name = parameter] = configFields[parameter] ?? []
    const reply = await ask(['config', 'get', parameter], name)
    if (reply !== undefined) addFields(pairsOf(reply), configFields, found)
  }
  const modules = await ask(['module', 'list'], 'module')
  for (const module of listOf(modules)) {
    const fields = pairsOf(module)
    const name = fields.get('name')
    if (name !== undefined)
      found.set(`module.${name}`, { value: fields.get('ver') ?? 'unknown', severity: 'high' })
  }
  const user = await ask(['acl', 'whoami'], 'acl')
  if (user === undefined) return found
  found.set('acl.user', { value: String(user), severity: 'low' })
  const rules = await ask(['acl', 'getuser', String(user)], ...rights.map((name) => `acl.${name}`))
  if (rules !== undefined) addRights(rules, found)
  return found
}

/** Of `ACL GETUSER`: flags, commands, keys and channels; not `passwords`. */
function addRights(reply: Reply, found: Found): void {
  const items = listOf(reply)
  for (let at = 0; at + 1 < items.length; at += 2) {
    const name = String(items[at])
    if (!rights.includes(name)) continue
    const value = items[at + 1]
    const words = Array.isArray(value) ? value.map(wordsOf).toSorted().join(' ') : String(value)
    found.set(`acl.${name}`, { value: words, severity: name === 'flags' ? 'medium' : 'high' })
  }
}

function addFields(
  fields: ReadonlyMap<string, string>,
  wanted: Readonly<Record<string, readonly [name: string, severity: Severity]>>,
  found: Found,
): void {
  for (const [field, [name, severity]] of Object.entries(wanted)) {
    const value = fields.get(field)
    if (value !== undefined) found.set(name, { value, severity })
  }
}

/** Of a selector, which is a list itself: `(commands -@all +get keys ~a* channels)`. */
function wordsOf(value: Reply): string {
  return Array.isArray(value) ? `(${value.map(String).join(' ')})` : String(value)
}

/** The lines `name:value` of INFO. */
function infoOf(text: string): ReadonlyMap<string, string> {
  const lines = [...text.matchAll(/^(\w+):(.*?)\r?$/gm)]
  return new Map(lines.map(([, name = '', value = '']) => [name, value]))
}

/**
 * Why the user may not know: it has no right to ask, or the server does not answer this. Managed servers have words
 * of their own for that, all behind the general `ERR`; what passes, as `LOADING` or `CLUSTERDOWN`, has its own word.
 */
function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined
  if (error.message.startsWith('NOPERM')) return 'the user may not ask'
  const passing = /max number of clients/i.test(error.message)
  return error.message.startsWith('ERR ') && !passing ? 'the server does not answer it' : undefined
}
