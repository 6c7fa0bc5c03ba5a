import { aliveKey, parseAlive, recordsKey, SILENT_MS } from '../bus/redis/keys.js';
import { auditEntry } from './audit-hosts.js';
import type { FleetConnection } from './connection.js';
import { parseEntry } from './entry.js';
import type { GroupStatus, HostStatus } from './fleet.js';
import { groupKeys } from './keys.js';
import { markFromText } from './mark-text.js';
import { readPartitions } from './partitions.js';
import { type Published, readPublished } from './published.js';
import { readNewest, timeOf } from './read-stream.js';
import { hashOf } from './replies.js';
import { StreamAudit } from './stream-audit.js';

/** Every host that ever published, by name. */
export const surveyHosts = async (
  connection: FleetConnection,
  fleet: string,
): Promise<HostStatus[]> => {
  const partitions = (await readPartitions(connection, fleet)) ?? 0;
  const nowMs = await redisNowMs(connection);
  const found: HostStatus[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    found.push(...(await hostsOf(connection, fleet, partitions, partition, nowMs)));
  }
  return found.sort((a, b) => (a.host < b.host ? -1 : 1));
};

/** Entries of a partition that are looked at for the time of a host's newest, and for gaps. */
const NEWEST = 1000;

const hostsOf = async (
  connection: FleetConnection,
  fleet: string,
  partitions: number,
  partition: number,
  nowMs: number,
): Promise<HostStatus[]> => {
  const published = await readPublished(connection, fleet, partition);
  const alive = hashOf(await connection.call('HGETALL', [aliveKey(fleet, partition)]));
  const hosts = new Set([...published.keys(), ...[...alive.keys()].filter(isHost)]);
  if (hosts.size === 0) return [];
  const key = recordsKey(fleet, partition);
  const newest = new Map<string, Date>();
  const audit = new StreamAudit();
  for (const { id, fields } of (await readNewest(connection, key, NEWEST)).reverse()) {
    const host = parseEntry(fields).identity?.host;
    if (host !== undefined) newest.set(host, timeOf(id));
    auditEntry(audit, fields);
  }
  const gaps = new Map(audit.findings(new Map()).map((found) => [found.host, found.gaps]));
  const groups = new Map<string, Map<string, number>>();
  for (const group of await groupsOf(connection, key)) {
    const { marks } = groupKeys(fleet, partitions, group).partition(partition);
    groups.set(group, throughOf(hashOf(await connection.call('HGETALL', [marks]))));
  }
  return [...hosts].map((host) => {
    const last = published.get(host) ?? null;
    const beat = parseAlive(alive.get(host) ?? '');
    const silent = beat === null || nowMs - beat.atMs > SILENT_MS;
    const rival = parseAlive(alive.get(`${host}${RIVAL}`) ?? '');
    return {
      host,
      partition,
      published: last,
      newestAt: newest.get(host) ?? null,
      heartbeatAt: beat === null ? null : new Date(beat.atMs),
      state: beat?.state === 'closed' ? 'closed' : silent ? 'silent' : 'alive',
      hasRival: rival?.state === 'alive' && nowMs - rival.atMs <= SILENT_MS,
      groups:
        last === null
          ? []
          : [...groups].map(([group, through]) => statusOf(group, host, last, through)),
      gaps: gaps.get(host) ?? [],
    };
  });
};

const RIVAL = '/rival';

const isHost = (field: string): boolean => !field.includes('/');

/** Hosts beat by Redis' clock. A Cluster's nodes have one each; any of them will do for what is seconds. */
const redisNowMs = async (connection: FleetConnection): Promise<number> => {
  const [seconds] = (await connection.call('TIME', [])) as unknown[];
  return Number(seconds) * 1000;
};

const statusOf = (
  group: string,
  host: string,
  { journalId, sequence }: Published,
  through: ReadonlyMap<string, number>,
): GroupStatus => {
  const acked = Math.max(0, through.get(`${host}/${journalId}`) ?? 0);
  return { group, acked, lag: Math.max(0, sequence - acked) };
};

const throughOf = (hash: ReadonlyMap<string, string>): Map<string, number> =>
  new Map(
    [...hash].flatMap(([field, value]) => {
      const mark = markFromText(field, value);
      return mark === null ? [] : [[field, mark.mark.through]];
    }),
  );

/** Names of the groups of a stream; none when there is no stream. */
const groupsOf = async (connection: FleetConnection, key: string): Promise<string[]> => {
  if ((await connection.call('EXISTS', [key])) === 0) return [];
  const rows: unknown = await connection.call('XINFO', ['GROUPS', key]);
  if (!Array.isArray(rows)) return [];
  const names = rows.flatMap((row: unknown) => (Array.isArray(row) ? [nameOf(row)] : []));
  return names.filter((name) => name !== '').sort();
};

const nameOf = (row: readonly unknown[]): string => {
  const at = row.findIndex((part) => String(part) === 'name');
  return at === -1 ? '' : String(row[at + 1]);
};
