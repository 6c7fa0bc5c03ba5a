import { redisScript } from './script.js';

/**
 * Publishes a batch in one step, or refuses it. Redis' own refusals (OOM, READONLY, MISCONF) come back as values, so
 * that what was added before one of them is accounted for.
 *
 * KEYS records, published, alive, ended
 * ARGV host, journal id, instance, silent after ms, replaced journal id or '', `from`, first sequence, most entries,
 *      oldest age in ms, source, then the records' bytes
 *
 * Answers ['ok', last published sequence] | ['gap', what stands in the way] | ['error', Redis' words]
 */
export const PUBLISH = redisScript(`
local host, mine, instance, silent = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local replaces, from, first, source = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[10]

local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then error(answer.err, 0) end
  return answer
end

-- Exact for all safe integers, and faster than Lua's own way from numbers to text.
local idForm = mine .. ':%d'

local function publish()
  local now = try('TIME')
  local found = try('HMGET', KEYS[3], host, host .. '/rival')
  local holder, rival = found[1], found[2]
  if not holder or string.match(holder, '[^:]*$') ~= instance then
    return {'gap', 'the name is held by ' .. (holder or 'nobody')}
  end
  if rival then
    local at, state = string.match(rival, '^(%d+):(%a+):')
    if at and state == 'alive' and now[1] * 1000 - tonumber(at) < silent then
      return {'gap', 'the name is also used by ' .. rival}
    end
  end
  local published = try('HGET', KEYS[2], host)
  local journal, sequence = string.match(published or '', '^([^:]*):(%d+)$')
  local ours = 0
  if journal == mine then
    ours = tonumber(sequence)
    journal = ''
  elseif journal then
    ours = tonumber(try('HGET', KEYS[4], host .. '/' .. mine) or 0)
  end
  if (journal or '') ~= replaces or from > ours + 1 then
    return {'gap', 'published is ' .. (published or 'nothing')}
  end

  local add, key, format, offset = redis.pcall, KEYS[1], string.format, first - 11
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
      try('HSET', KEYS[4], host .. '/' .. replaces, sequence)
      try('HDEL', KEYS[4], host .. '/' .. mine)
    end
    try('HSET', KEYS[2], host, string.format(idForm, done))
    try('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[8])
    local oldest = now[1] * 1000 - ARGV[9]
    if oldest > 0 then try('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', oldest)) end
  end
  if refused then return {'error', refused} end
  return {'ok', string.format('%d', done)}
end

local fine, answer = pcall(publish)
if fine then return answer end
return {'error', tostring(answer)}
`);
