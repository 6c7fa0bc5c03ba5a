import { createHash } from 'node:crypto';

/**
 * How records stand in Redis; consumers of any language build on it.
 *
 * Hosts are mapped to P partitions. Each has a stream of records and a hash of what each host has published, in one
 * slot of a cluster. The number of partitions is written once.
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
