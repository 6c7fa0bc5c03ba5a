import type { ReaderAtRisk } from '../reader-at-risk.js';
import type { Connection } from './connection.js';

/** A group that needs an entry at this share of the way to being trimmed is told of. */
const NEAR = 0.8;

export interface TrimLimits {
  readonly maxAgeMs: number;
  readonly maxLength: number;
}

/** Consumer groups that are about to lose records to trimming. */
export const findReadersAtRisk = async (
  connection: Connection,
  records: string,
  limits: TrimLimits,
  nowMs: number,
): Promise<ReaderAtRisk[]> => {
  const found: ReaderAtRisk[] = [];
  for (const group of await groupsOf(connection, records)) {
    const oldest = await oldestNeeded(connection, records, group);
    if (oldest === null) continue;
    const oldestMs = nowMs - timeOf(oldest);
    const unread = group.lag ?? (await estimateBehind(connection, records, oldest));
    const behind = group.lag === null ? unread : unread + group.pending;
    const share = Math.max(oldestMs / limits.maxAgeMs, behind / limits.maxLength);
    if (share > NEAR) found.push({ stream: records, group: group.name, share, oldestMs, behind });
  }
  return found;
};

interface Group {
  readonly name: string;
  readonly pending: number;
  readonly lastDelivered: string;
  /** Entries never delivered; null: Redis doesn't say (before 7, or when entries were deleted). */
  readonly lag: number | null;
}

const groupsOf = async (connection: Connection, records: string): Promise<Group[]> => {
  const rows = await connection.call('XINFO', ['GROUPS', records]).catch((error: unknown) => {
    if (error instanceof Error && /no such key/i.test(error.message)) return [];
    throw error;
  });
  if (!Array.isArray(rows)) return [];
  return rows.flatMap((row: unknown) => {
    if (!Array.isArray(row)) return [];
    const field = (name: string): string => {
      const at = row.findIndex((part: unknown) => String(part) === name);
      return at < 0 ? '' : String(row[at + 1] ?? '');
    };
    return [
      {
        name: field('name'),
        pending: Number(field('pending')),
        lastDelivered: field('last-delivered-id'),
        lag: /^\d+$/.test(field('lag')) ? Number(field('lag')) : null,
      },
    ];
  });
};

/** The id of the oldest entry that the group has not dealt with; null: none. */
const oldestNeeded = async (
  connection: Connection,
  records: string,
  group: Group,
): Promise<string | null> => {
  if (group.pending > 0) {
    const summary = await connection.call('XPENDING', [records, group.name]);
    const first: unknown = Array.isArray(summary) ? summary[1] : null;
    if (first instanceof Buffer) return first.toString();
  }
  const next = await connection.call('XRANGE', [
    records,
    `(${group.lastDelivered}`,
    '+',
    'COUNT',
    1,
  ]);
  const entry: unknown = Array.isArray(next) ? next[0] : null;
  return Array.isArray(entry) ? String(entry[0]) : null;
};

/** As if entries had come evenly from the oldest to the newest. */
const estimateBehind = async (
  connection: Connection,
  records: string,
  oldestNeeded: string,
): Promise<number> => {
  const length = Number(await connection.call('XLEN', [records]));
  const ends = await Promise.all([
    connection.call('XRANGE', [records, '-', '+', 'COUNT', 1]),
    connection.call('XREVRANGE', [records, '+', '-', 'COUNT', 1]),
  ]);
  const [first = 0, last = 0] = ends.map((end: unknown) => {
    const entry: unknown = Array.isArray(end) ? end[0] : null;
    return Array.isArray(entry) ? timeOf(String(entry[0])) : 0;
  });
  if (last <= first) return length;
  return Math.round(Math.min(1, (last - timeOf(oldestNeeded)) / (last - first)) * length);
};

const timeOf = (entryId: string): number => Number(entryId.split('-')[0]);
