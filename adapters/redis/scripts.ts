/**
 * What one native command cannot do atomically, as Lua. Each touches one key, so it runs on a cluster too, and
 * writes at most once, so it is applied as a whole or not at all.
 */
import { createHash } from 'node:crypto'

export interface Script {
  readonly lua: string
  readonly sha: string
}

/** KEYS: key. ARGV: expected value, new value, then `''`, `'keep'` or the TTL in ms. Answers 1 if it was set. */
export const setIfEquals: Script = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == 'keep' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
elseif ARGV[3] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else redis.call('SET', KEYS[1], ARGV[2]) end
return 1`)

/** KEYS: key. ARGV: expected value. Answers 1 if it was deleted, 0 if it was absent, -1 if it is another. */
export const deleteIfEquals: Script = script(`
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if current ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
return 1`)

/**
 * KEYS: key. ARGV: what to add, then `''` or the TTL in ms of a key that this creates. INCRBY counts in 64 bits, more
 * than a JavaScript number holds exactly: beyond that the sum is taken back. Answers the sum as text, because
 * ioredis 6.0 reads an integer reply of 2^53 - 1 as one more.
 */
export const increment: Script = script(`
local created = redis.call('EXISTS', KEYS[1]) == 0
local sum = redis.call('INCRBY', KEYS[1], ARGV[1])
if sum > ${Number.MAX_SAFE_INTEGER} or sum < ${Number.MIN_SAFE_INTEGER} then
  redis.call('DECRBY', KEYS[1], ARGV[1])
  return redis.error_reply('ERR increment or decrement would overflow')
end
if created and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])`)

/** KEYS: key. Takes the expiry away; answers whether the key is there. PERSIST alone does not tell. */
export const persist: Script = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('PERSIST', KEYS[1])
return 1`)

function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') }
}
