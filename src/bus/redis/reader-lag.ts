import { sayDuration } from '../../lib/duration.js';
import type { Connection } from './connection.js';

/** A group that needs an entry at this share of the way to being trimmed is told of. */
const NEAR = 0.8;

export interface TrimLimits {
  readonly maxAgeMs: number;
  readonly maxLength: number;
}

/** Consumer groups that are about to lose records to trimming, each in a sentence. */
export const warnOfLag = async (
  connection: Connection,
  records: string,
  limits: TrimLimits,
  nowMs: number,
): Promise<string[]> => {
  const warnings: string[] = [];
  for (const group of await groupsOf(connection, records)) {
    const oldest = await oldestNeeded(connection, records, group);
    if (oldest === null) continue;
    const ageMs = nowMs - timeOf(oldest);
    const behind = group.lag + group.pending;
    if (ageMs > NEAR * limits.maxAgeMs) {
      const text = `its oldest unread record is ${sayDuration(ageMs)} old`;
      warnings.push(`group ${group.name} is about to lose records of ${records}: ${text}`);
    } else if (behind > NEAR * limits.maxLength) {
      const text = `${behind} records are unread`;
      warnings.push(`group ${group.name} is about to lose records of ${records}: ${text}`);
    }
  }
  return warnings;
};

interface Group {
  readonly name: string;
  readonly pending: number;
  readonly lastDelivered: string;
  /** Entries never delivered; 0 where Redis (before 7) doesn't say. */
  readonly lag: number;
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
        lag: Number(field('lag')),
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

const timeOf = (entryId: string): number => Number(entryId.split('-')[0]);
