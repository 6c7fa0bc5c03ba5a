import { ENDED_AT, IS_GONE } from './keys.js';
import { redisScript } from './script.js';

/**
 * Says that a process is alive under its host's name, and tells whether another one is.
 *
 * A process takes the name when nobody has it, when its holder left or was silent too long, or when it has the
 * holder's journal and `takes` it (a start after a kill). Else it is the rival, and says so for as long as it
 * lives: the holder sees that and stops too.
 *
 * When the stream was deleted, what was published is forgotten with it, for all hosts of the partition.
 *
 * KEYS alive, published, ended, records
 * ARGV host, journal id, instance, 'take' | 'beat' | 'leave', silent after ms
 *
 * Answers ['ok', published or '', sequence where our journal ended or '', now in ms]
 *   | ['twin', the other as in the hash] | ['error', Redis' words]
 */
export const ALIVE = redisScript(`${ENDED_AT}${IS_GONE}
local host, mine, instance, verb = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local rivalField = host .. '/rival'

local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then error(answer.err, 0) end
  return answer
end

local function alive()
  local time = try('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local function me(state)
    return string.format('%.0f', now) .. ':' .. state .. ':' .. mine .. ':' .. instance
  end
  local function read(field)
    local text = try('HGET', KEYS[1], field)
    if not text then return nil end
    local at, state, journal, who = string.match(text, '^(%d+):(%a+):([^:]*):([^:]*)$')
    if not at then return nil end
    return {text = text, journal = journal, who = who, mine = who == instance,
      -- Far in the future is no beat either: the clock was set back, by hand or by a failover.
      lives = state == 'alive' and math.abs(now - tonumber(at)) < tonumber(ARGV[5])}
  end

  local holder, rival = read(host), read(rivalField)
  if verb == 'leave' then
    if holder and holder.mine then try('HSET', KEYS[1], host, me('closed')) end
    if rival and rival.mine then try('HDEL', KEYS[1], rivalField) end
    return {'ok', '', '', ''}
  end

  local takes = not holder or holder.mine or not holder.lives
    or (verb == 'take' and holder.journal == mine)
  if not takes then
    try('HSET', KEYS[1], rivalField, me('alive'))
    return {'twin', holder.text}
  end
  try('HSET', KEYS[1], host, me('alive'))
  if rival and not rival.mine and rival.lives then return {'twin', rival.text} end
  if rival then try('HDEL', KEYS[1], rivalField) end
  if isGone(KEYS[4]) then try('DEL', KEYS[2], KEYS[3]) end
  local published, ended = try('HGET', KEYS[2], host), try('HGET', KEYS[3], host)
  return {'ok', published or '', endedAt(ended, mine) or '', string.format('%.0f', now)}
end

local fine, answer = pcall(alive)
if fine then return answer end
return {'error', tostring(answer)}
`);
