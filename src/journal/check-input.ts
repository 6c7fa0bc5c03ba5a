import { Buffer } from 'node:buffer';
import type { Commit, ReadQuery, Sequence } from './journal.js';
import { badInput } from './journal-fault.js';

/** Bytes of UTF-8. */
const MAX_KEY = 511;
const MAX_VM = 255;
/** Far above any record of ours; bounds what one commit can hold up. */
const MAX_VALUE = 16 * 1024 * 1024;
/** The year 10889: what 48 bits of milliseconds hold. */
export const MAX_TIME_MS = 2 ** 48 - 1;

const DEFAULT_LIMIT = 1024;
const DEFAULT_MAX_BYTES = 1024 * 1024;

/** Throws JOURNAL_BAD_INPUT on what can't be stored, before anything of the commit was taken. */
export function checkCommit(commit: Commit): void {
  for (const [at, record] of commit.records.entries()) {
    checkLength(`records[${at}].vm`, Buffer.byteLength(record.vm), 0, MAX_VM);
    checkLength(`records[${at}].bytes`, record.bytes.length, 0, MAX_VALUE);
  }
  for (const [at, row] of commit.rows.entries()) {
    checkLength(`rows[${at}].key`, Buffer.byteLength(row.key), 1, MAX_KEY);
    if (row.value !== null) checkLength(`rows[${at}].value`, row.value.length, 0, MAX_VALUE);
    if (row.expiresAtMs !== undefined) {
      checkInteger(`rows[${at}].expiresAtMs`, row.expiresAtMs, 1, MAX_TIME_MS);
    }
  }
}

/** The query with its defaults filled in; throws JOURNAL_BAD_INPUT. */
export function checkQuery(query: ReadQuery): ReadQuery & { limit: number; maxBytes: number } {
  const { limit = DEFAULT_LIMIT, maxBytes = DEFAULT_MAX_BYTES } = query;
  checkInteger('after', query.after, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('limit', limit, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('maxBytes', maxBytes, 1, Number.MAX_SAFE_INTEGER);
  return { ...query, limit, maxBytes };
}

export const checkThrough = (through: Sequence, newest: Sequence): void =>
  checkInteger('through', through, 0, newest);

function checkLength(field: string, length: number, least: number, most: number): void {
  if (length < least || length > most) {
    throw badInput(field, `${length} bytes long`, `${least} to ${most} bytes`);
  }
}

function checkInteger(field: string, value: number, least: number, most: number): void {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw badInput(field, String(value), `a whole number from ${least} to ${most}`);
  }
}
