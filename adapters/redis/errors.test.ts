import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OwnServer, startServer } from '../../contract-tests/servers.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import type { PortErrorCode } from '../../src/errors.ts'
import { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { classifyRedisError } from './errors.ts'
import { redis } from './index.ts'

function reply(text: string): Error {
  const error = new Error(text)
  error.name = 'ReplyError'
  return error
}

function system(code: string): Error {
  return Object.assign(new Error(`connect ${code} 127.0.0.1:1`), { code })
}

// The texts are those that Redis 6.2, 7.0 and 7.2 and ioredis 6.0 were seen to give.
describe('classifyRedisError', () => {
  test.each<[string, PortErrorCode, boolean]>([
    ['NOAUTH Authentication required.', 'unauthenticated', false],
    [
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH',
      'unauthenticated',
      false,
    ],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'unauthenticated', false],
    ['ERR invalid password', 'unauthenticated', false],
    [
      'ERR AUTH <password> called without any password configured for the default user.',
      'unauthenticated',
      false,
    ],
    ["NOPERM this user has no permissions to run the 'get' command", 'permission-denied', false],
    ['NOPERM No permissions to access a key', 'permission-denied', false],
    [
      'DENIED Redis is running in protected mode because protected mode is enabled',
      'permission-denied',
      false,
    ],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'precondition-failed', false],
    [
      'WRONGTYPE Operation against a key holding the wrong kind of value script: 1f, on @user_script:2.',
      'precondition-failed',
      false,
    ],
    [
      'ERR Error running script (call to f_1f): @user_script:2: WRONGTYPE Operation against a key',
      'precondition-failed',
      false,
    ],
    [
      'ERR value is not an integer or out of range script: 1f, on @user_script:3.',
      'precondition-failed',
      false,
    ],
    ['ERR increment or decrement would overflow', 'precondition-failed', false],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'quota-exceeded', false],
    ["READONLY You can't write against a read only replica.", 'unavailable', true],
    ['LOADING Redis is loading the dataset in memory', 'unavailable', true],
    [
      'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
      'unavailable',
      true,
    ],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'unavailable', true],
    ['NOREPLICAS Not enough good replicas to write.', 'unavailable', true],
    [
      "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
      'unavailable',
      true,
    ],
    ['CLUSTERDOWN The cluster is down', 'unavailable', true],
    ['CLUSTERDOWN Hash slot not served', 'unavailable', true],
    ['MOVED 866 127.0.0.1:7001', 'unavailable', true],
    ['ASK 866 127.0.0.1:7001', 'unavailable', true],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'unavailable', true],
    ["CROSSSLOT Keys in request don't hash to the same slot", 'unsupported', false],
    ['ERR max number of clients reached', 'unavailable', true],
    ['ERR DB index is out of range', 'invalid-argument', false],
    ['ERR SELECT is not allowed in cluster mode', 'invalid-argument', false],
    ['ERR unknown command `UNLINK`, with args beginning with: `secret`', 'unsupported', false],
    ['ERR This instance has cluster support disabled', 'unsupported', false],
    ['ERR something new about secret', 'internal', false],
  ])('%s', (text, code, retryable) => {
    const meaning = classifyRedisError(reply(text))
    expect(meaning).toMatchObject({ code, outcome: 'not-applied' })
    expect(meaning?.retryable ?? ['unavailable'].includes(code)).toBe(retryable)
    expect(meaning?.message).not.toContain('secret')
  })

  test.each<[Error, PortErrorCode, 'not-applied' | 'unknown']>([
    [system('ECONNREFUSED'), 'unavailable', 'not-applied'],
    [system('ENOTFOUND'), 'unavailable', 'not-applied'],
    [system('EAI_AGAIN'), 'unavailable', 'not-applied'],
    [system('EHOSTUNREACH'), 'unavailable', 'not-applied'],
    [system('ECONNRESET'), 'unavailable', 'unknown'],
    [system('EPIPE'), 'unavailable', 'unknown'],
    [system('ETIMEDOUT'), 'unavailable', 'unknown'],
    [system('DEPTH_ZERO_SELF_SIGNED_CERT'), 'unavailable', 'not-applied'],
    [system('ERR_SSL_WRONG_VERSION_NUMBER'), 'unavailable', 'not-applied'],
    [new AggregateError([system('ECONNREFUSED'), system('ECONNREFUSED')]), 'unavailable', 'not-applied'],
    [new Error('Connection is closed.'), 'unavailable', 'unknown'],
    [new Error('Command aborted due to connection close'), 'unavailable', 'unknown'],
    [
      new Error('Reached the max retries per request limit (which is 0). Refer to …'),
      'unavailable',
      'unknown',
    ],
    [
      new Error("Socket timeout. Expecting data, but didn't receive any in 15000ms."),
      'unavailable',
      'unknown',
    ],
    [new Error('Command timed out'), 'timeout', 'unknown'],
    [
      new Error("Stream isn't writeable and enableOfflineQueue options is false"),
      'unavailable',
      'not-applied',
    ],
    [new Error('None of startup nodes is available'), 'unavailable', 'not-applied'],
    [
      new Error('Too many Cluster redirections. Last error: Error: MOVED 1 a:1'),
      'unavailable',
      'not-applied',
    ],
    [
      Object.assign(new Error('Failed to refresh slots cache.'), {
        lastNodeError: new Error('Connection is closed.'),
      }),
      'unavailable',
      'not-applied',
    ],
    [
      Object.assign(new Error('Failed to refresh slots cache.'), {
        lastNodeError: reply('WRONGPASS invalid'),
      }),
      'unauthenticated',
      'not-applied',
    ],
  ])('%s', (error, code, outcome) => {
    expect(classifyRedisError(error)).toMatchObject({ code, outcome })
  })

  test.each([[new TypeError('x is not a function')], ['a string'], [undefined], [{ code: 'ECONNREFUSED' }]])(
    'does not guess what %o means',
    (error) => {
      expect(classifyRedisError(error)).toBeUndefined()
    },
  )
})

describe('on a real server', () => {
  let server: OwnServer
  let admin: Redis
  const open: Guarded<KeyValueStore>[] = []

  beforeAll(async () => {
    server = await startServer('redis', { durable: false })
    admin = new Redis(server.adminUrl())
  })
  afterAll(async () => {
    await Promise.all(open.map((guarded) => guarded.close()))
    admin.disconnect()
    await server.dispose()
  })

  async function store(change: (url: URL) => void = () => {}): Promise<KeyValueStore> {
    const url = new URL(server.adminUrl())
    change(url)
    const parsed = ServiceUrl.parse(url.href, redis.parameters)
    if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
    const driver = await redis.open(parsed.url, { service: 'sessions', clock: systemClock })
    const guarded = guard(KeyValueStore, driver, { service: 'sessions', secrets: parsed.url.secrets })
    open.push(guarded)
    return guarded.port
  }

  test('a wrong password is unauthenticated, and a missing one too', async () => {
    const wrong = await store((url) => {
      url.password = 'canary-wrong'
    })
    const error = await wrong.get('k').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'unauthenticated', service: 'sessions', operation: 'get' })
    expect(String((error as Error).stack)).not.toContain('canary')
    const none = await store((url) => {
      url.password = ''
    })
    await expect(none.set('k', 'v')).rejects.toMatchObject({
      code: 'unauthenticated',
      outcome: 'not-applied',
    })
  })

  test('a user without the right is permission-denied', async () => {
    await admin.call(
      'ACL',
      'SETUSER',
      'reader',
      'on',
      '>reader-password',
      '~allowed:*',
      '+@read',
      '+info',
      '+@connection',
    )
    const reader = await store((url) => {
      url.username = 'reader'
      url.password = 'reader-password'
    })
    await expect(reader.get('allowed:k')).resolves.toBeUndefined()
    await expect(reader.get('other')).rejects.toMatchObject({ code: 'permission-denied' })
    const denied = { code: 'permission-denied', outcome: 'not-applied' }
    await expect(reader.set('allowed:k', 'v')).rejects.toMatchObject(denied)
    await expect(reader.increment('allowed:k')).rejects.toMatchObject(denied)
    const { items, ok } = await reader.setMany([['allowed:k', 'v']])
    expect(ok).toBe(false)
    expect(items[0]?.error).toMatchObject({
      ...denied,
      service: 'sessions',
      operation: 'setMany',
      subject: 'allowed:k',
    })
  })

  test('a database that the server has not is refused, rather than another one used', async () => {
    const nowhere = await store((url) => {
      url.pathname = '/99999'
    })
    const calls = [nowhere.set('k', 'v'), nowhere.get('k'), nowhere.deleteMany(['k'])]
    const refused = { code: 'invalid-argument', outcome: 'not-applied' }
    await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject(refused)))
    await expect(nowhere.get('k')).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(await admin.get('k')).toBeNull()
  })

  test('TLS to a plain port is not retryable', async () => {
    const tls = await store((url) => {
      url.href = url.href.replace('redis://', 'rediss://')
    })
    await expect(tls.get('k')).rejects.toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
  })

  test('a single server taken for a cluster is unsupported', async () => {
    const cluster = await store((url) => {
      url.searchParams.set('cluster', 'true')
    })
    await expect(cluster.get('k')).rejects.toMatchObject({ code: 'unsupported', outcome: 'not-applied' })
  })

  test('a key of another type is precondition-failed, and can be replaced and deleted', async () => {
    const port = await store()
    const failed = { code: 'precondition-failed', outcome: 'not-applied' }
    await admin.rpush('list', 'value-nobody-may-see')
    await expect(port.get('list')).rejects.toMatchObject({ ...failed, subject: 'list' })
    await expect(port.getText('list')).rejects.toMatchObject(failed)
    await expect(port.getMany(['k', 'list'])).rejects.toMatchObject({ ...failed, subject: 'list' })
    await expect(port.increment('list')).rejects.toMatchObject(failed)
    await expect(port.set('list', 'x', { ifEquals: 'y' })).rejects.toMatchObject(failed)
    await expect(port.delete('list', { ifEquals: 'y' })).rejects.toMatchObject(failed)
    await expect(port.set('list', 'x', { ifAbsent: true })).rejects.toMatchObject(failed)
    await port.set('list', 'plain now')
    expect(await port.getText('list')).toBe('plain now')
    await admin.hset('hash', 'f', 'v')
    expect(await port.delete('hash')).toBe(true)
  })

  test('a full server is quota-exceeded, and reading goes on', async () => {
    const port = await store()
    await port.set('before', 'v')
    await admin.config('SET', 'maxmemory', '1')
    try {
      const full = { code: 'quota-exceeded', outcome: 'not-applied' }
      await expect(port.set('k', 'v')).rejects.toMatchObject(full)
      await expect(port.increment('n')).rejects.toMatchObject(full)
      expect(await port.getText('before')).toBe('v')
    } finally {
      await admin.config('SET', 'maxmemory', '0')
    }
  })

  test('a replica is unavailable to write', async () => {
    const port = await store()
    await admin.replicaof('127.0.0.1', '1')
    try {
      await expect(port.set('k', 'v')).rejects.toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
    } finally {
      await admin.replicaof('NO', 'ONE')
    }
  })

  test('a server that is busy with a script is unavailable', async () => {
    const port = await store()
    await port.get('k')
    await admin.config('SET', 'busy-reply-threshold', '20')
    const other = admin.duplicate()
    const looping = other.eval('while true do end', 0).catch(() => {})
    try {
      await expect
        .poll(() => port.set('k', 'v').catch((error: unknown) => error))
        .toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
    } finally {
      await admin.call('SCRIPT', 'KILL')
      await looping
      other.disconnect()
    }
  })

  test('a server with as many clients as it takes is unavailable', async () => {
    // Those connected already stay.
    await admin.config('SET', 'maxclients', '1')
    try {
      await expect((await store()).get('k')).rejects.toMatchObject({
        code: 'unavailable',
        outcome: 'not-applied',
      })
    } finally {
      await admin.config('SET', 'maxclients', '10000')
    }
  })
})
