import { createHash } from 'node:crypto';

/**
 * How records stand in Redis; consumers of any language build on it.
 *
 * - Hosts are mapped to P partitions. Each has a stream of records, a hash of what each host has published and a hash
 *   of who is alive, in one slot of a cluster. The number of partitions is written once.
 * - Of one journal the sequences in a stream are ascending, from 1 on, without holes but one kind: a record that the
 *   journal had to drop before it could be published is missing, and a marker stands in the place of the last of
 *   them. A marker is a record with `loss`, whose `lastSequence` is its own sequence; it covers all from
 *   `firstSequence` on.
 * - Another journal id from some entry of a host on: its journal was lost, and begins anew at 1.
 */
export const DEFAULT_PARTITIONS = 64;

/** Hash; field `partitions`: decimal. */
export const metaKey = (fleet: string): string => `vmwarden:{${fleet}}:meta`;

/** Stream of entries, see `ENTRY_FIELDS`. */
export const recordsKey = (fleet: string, partition: number): string =>
  `vmwarden:{${fleet}/${partition}}:records`;

/** Hash: host → `<journal id>:<sequence>`. */
export const publishedKey = (fleet: string, partition: number): string =>
  `vmwarden:{${fleet}/${partition}}:published`;

/**
 * Hash: host → `<journal id>:<sequence>,...`, newest first: where journals of the host stopped when another one took
 * over, so that each goes on there if it ever comes back. Of a host the last `ENDED_MAX` are known.
 */
export const ENDED_MAX = 8;

export const endedKey = (fleet: string, partition: number): string =>
  `vmwarden:{${fleet}/${partition}}:ended`;

/**
 * Hash: host → `<when>:<state>:<journal id>:<instance>`, see `parseAlive`. Beside it, host + `/rival`: another
 * process that uses the host's name, in the same form.
 */
export const aliveKey = (fleet: string, partition: number): string =>
  `vmwarden:{${fleet}/${partition}}:alive`;

/** A host says at least this often that it is alive. */
export const BEAT_MS = 15_000;
/** A host that was silent for so long, three beats, is taken for gone. */
export const SILENT_MS = 45_000;

export interface Alive {
  /** When it last said so: milliseconds since the epoch by Redis' clock. */
  readonly atMs: number;
  /** `closed`: it went on purpose. */
  readonly state: 'alive' | 'closed';
  readonly journalId: string;
  /** Of the process; another one after each start. */
  readonly instance: string;
}

/** null: not of this form. */
export const parseAlive = (text: string): Alive | null => {
  const match = /^(\d{1,15}):(alive|closed):([0-9a-f]+):([0-9a-f]+)$/.exec(text);
  const [, at = '', state, journalId = '', instance = ''] = match ?? [];
  if (match === null) return null;
  return { atMs: Number(at), state: state === 'closed' ? 'closed' : 'alive', journalId, instance };
};

/** The partition of a host: the first 32 bits of SHA-256 of its name, modulo the number of partitions. */
export const partitionOf = (host: string, partitions: number): number =>
  createHash('sha256').update(host).digest().readUInt32BE(0) % partitions;

/**
 * Fields of an entry, in this order: CloudEvents 1.0 attributes (binary mode) and the record as protobuf. `source` is
 * `/vmwarden/<host>`, `id` is `<journal id>:<sequence>`: together they are the record's identity.
 */
export const ENTRY_FIELDS = {
  specversion: 'specversion',
  id: 'id',
  source: 'source',
  type: 'type',
  datacontenttype: 'datacontenttype',
  data: 'data',
} as const;

export const SPEC_VERSION = '1.0';
/** For every record: its kind is inside. */
export const ENTRY_TYPE = 'dev.vmwarden.record.v1';
export const DATA_CONTENT_TYPE = 'application/protobuf';

export const sourceOf = (host: string): string => `/vmwarden/${encodeURIComponent(host)}`;
export const idOf = (journalId: string, sequence: number): string => `${journalId}:${sequence}`;

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

/**
 * Lua: `isGone(records)`: the stream was deleted, whoever made an empty one since (a consumer group does). One that was
 * trimmed to nothing still knows its last entry.
 */
export const IS_GONE = `
local function isGone(records)
  local length = redis.pcall('XLEN', records)
  if type(length) ~= 'number' or length > 0 then return false end
  local info = redis.pcall('XINFO', 'STREAM', records)
  if info.err then return string.find(info.err, 'no such key', 1, true) ~= nil end
  for i = 1, #info - 1, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] == '0-0' end
  end
  return false
end
`;
