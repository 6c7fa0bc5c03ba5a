/**
 * Lua: `endedAt(list, journal)`, where a journal of the host stopped, as text; nil: not known. `list` is the host's field
 * of `endedKey`, or false.
 */
export const ENDED_AT = `
local function endedAt(list, journal)
  for id, sequence in string.gmatch(list or '', '([^:,]*):(%d+)') do
    if id == journal then return sequence end
  end
end
`;
