import { ENDED_AT, ENDED_MAX, IS_GONE } from './keys.js';
import { redisScript } from './script.js';

/**
 * Publishes a batch in one step, or refuses it. Redis' own refusals (OOM, READONLY, MISCONF) come back as values, so
 * that what was added before one of them is accounted for.
 *
 * KEYS records, published, alive, ended
 * ARGV host, journal id, instance, silent after ms, replaced journal id or '', `from`, first sequence, most entries,
 *      oldest age in ms, source, then the records' bytes
 *
 * Answers ['ok', last published sequence] | ['gap', what stands in the way] | ['held', who has the name, as in the
 * hash] | ['error', Redis' words]
 */
export const PUBLISH = redisScript(`${ENDED_AT}${IS_GONE}
local host, mine = ARGV[1], ARGV[2]
local call = redis.call

local function nowMs()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function publish()
  local instance, replaces = ARGV[3], ARGV[5]
  local from, first, source = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[10]
  local found = call('HMGET', KEYS[3], host, host .. '/rival')
  local holder, rival = found[1], found[2]
  if not holder then return {'gap', 'nobody holds the name'} end
  if string.sub(holder, -#instance - 1) ~= ':' .. instance then return {'held', holder} end
  if rival then
    local at, state = string.match(rival, '^(%d+):(%a+):')
    if at and state == 'alive' and math.abs(nowMs() - tonumber(at)) < tonumber(ARGV[4]) then
      return {'gap', 'the name is also used by ' .. rival}
    end
  end
  local published = call('HGET', KEYS[2], host)
  -- Before anything stands in a new one, which would look whole.
  if published and isGone(KEYS[1]) then return {'gap', 'the stream was deleted'} end
  local journal, sequence = string.match(published or '', '^([^:]*):(%d+)$')
  local ours = 0
  if journal == mine then
    ours = tonumber(sequence)
    journal = ''
  elseif journal then
    ours = tonumber(endedAt(call('HGET', KEYS[4], host), mine) or 0)
  end
  if (journal or '') ~= replaces or from > ours + 1 then
    return {'gap', 'published is ' .. (published or 'nothing')}
  end

  -- Exact for all safe integers, and faster than Lua's own way from numbers to text.
  local idForm, format = mine .. ':%d', string.format
  local add, key, offset = redis.pcall, KEYS[1], first - 11
  local done, refused = ours, nil
  for at = math.max(first, ours + 1), offset + #ARGV do
    local answer = add('XADD', key, '*', 'specversion', '1.0', 'id', format(idForm, at),
      'source', source, 'type', 'dev.vmwarden.record.v1',
      'datacontenttype', 'application/protobuf', 'data', ARGV[at - offset])
    if type(answer) ~= 'string' then
      refused = answer.err
      break
    end
    done = at
  end
  if done > ours or (replaces ~= '' and not refused) then
    if replaces ~= '' then
      local list, known = replaces .. ':' .. sequence, 1
      for id, at in string.gmatch(call('HGET', KEYS[4], host) or '', '([^:,]*):(%d+)') do
        if id ~= replaces and id ~= mine and known < ${ENDED_MAX} then
          list, known = list .. ',' .. id .. ':' .. at, known + 1
        end
      end
      call('HSET', KEYS[4], host, list)
    end
    call('HSET', KEYS[2], host, format(idForm, done))
    -- Now and then is enough: whole nodes of the stream go at once, of a hundred entries each.
    if math.floor(done / 50) > math.floor(ours / 50) then
      call('XTRIM', key, 'MAXLEN', '~', ARGV[8])
      local oldest = nowMs() - ARGV[9]
      if oldest > 0 then call('XTRIM', key, 'MINID', '~', format('%.0f', oldest)) end
    end
  end
  if refused then return {'error', refused} end
  return {'ok', format('%d', done)}
end

local fine, answer = pcall(publish)
if fine then return answer end
-- Redis 7 throws a table, Redis 6 the words themselves.
return {'error', type(answer) == 'table' and answer.err or tostring(answer)}
`);
