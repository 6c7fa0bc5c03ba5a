import { ENDED_AT } from '../bus/redis/keys.js';
import { redisScript } from '../bus/redis/script.js';

/**
 * What a consumer does to its partitions. `KEYS[1]` is the lease: whoever's token it holds may read, ack
 * and park, and nobody else; Redis' own clock ends it.
 */

/**
 * Makes the group unless it is there. ARGV: group, `0` or `$`, `fresh` or `keep` (what
 * marks are left), then fields and marks to begin with. Answers 1: made.
 */
export const CREATE_GROUP = redisScript(`
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], ARGV[2], 'MKSTREAM')
if type(made) == 'table' and made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return made
end
if ARGV[3] == 'fresh' then redis.call('DEL', KEYS[2]) end
if ARGV[2] == '$' then
  local published = redis.call('HGETALL', KEYS[3])
  for i = 1, #published, 2 do
    local journal, sequence = string.match(published[i + 1], '^([^:]+):(%d+)$')
    if journal then redis.call('HSET', KEYS[2], published[i] .. '/' .. journal, sequence) end
  end
end
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
`);

/**
 * Forgets marks of journals that their host has left for another one, so long ago that nobody knows where they ended:
 * none of their records is published again. ARGV: token, milliseconds. Answers the marks; false: another one has it.
 */
export const ACQUIRE = redisScript(`${ENDED_AT}
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local marks, kept = redis.call('HGETALL', KEYS[2]), {}
for i = 1, #marks, 2 do
  local host, journal = string.match(marks[i], '^(.*)/([^/]*)$')
  local now = host and redis.call('HGET', KEYS[3], host)
  local current = now and string.match(now, '^[^:]*')
  if current and current ~= journal and not endedAt(redis.call('HGET', KEYS[4], host), journal) then
    redis.call('HDEL', KEYS[2], marks[i])
  else
    table.insert(kept, marks[i])
    table.insert(kept, marks[i + 1])
  end
end
return kept
`);

/** ARGV: token, milliseconds. Answers 1: still ours. */
export const RENEW = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

/** ARGV: token. */
export const RELEASE = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`);

/** Not fenced reads would take entries away from the new owner. ARGV: token, group, consumer, count. Answers {entries, newest id}. */
export const READ = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local read = redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[2], '>')
if read then return {read[1][2], ''} end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {{}, last[1] and last[1][1] or '0-0'}
`);

/**
 * Takes over pending entries. ARGV: token, group, consumer, then ids and how often each was handed out.
 * Answers the entries; one that was trimmed away is acked and left out.
 */
export const CLAIM = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local entries = {}
for i = 4, #ARGV, 2 do
  local entry = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
  if entry then
    redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, ARGV[i], 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
    entries[#entries + 1] = entry
  else
    redis.call('XACK', KEYS[2], ARGV[2], ARGV[i])
  end
end
return entries
`);

/** ARGV: token, group, number of the arguments that are fields and marks, these, then entry ids. Answers 1: done. */
export const ACKNOWLEDGE = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local last = 3 + tonumber(ARGV[3])
for i = 4, last, 2 do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV do redis.call('XACK', KEYS[2], ARGV[2], ARGV[i]) end
return 1
`);

/** ARGV: token, group, entry id, most entries to keep, fields and values. Answers 1: done. */
export const PARK = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', unpack(ARGV, 5))
redis.call('XACK', KEYS[2], ARGV[2], ARGV[3])
return 1
`);

/** Who is there. ARGV: token, milliseconds. Answers how many are. */
export const JOIN = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 4)
return redis.call('ZCARD', KEYS[1])
`);
