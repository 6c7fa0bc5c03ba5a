import { Fault, isFault } from '../../lib/fault.js';

/** What LMDB and the file system say, as Faults. */

/** A full disk reads as EIO (an extending write was cut short); with less than this free it is that. */
const FULL_BELOW_BYTES = 1024 * 1024;

const ENOENT = 2;
const EIO = 5;
const ENOSPC = 28;
const EDQUOT = 122;
const MAP_FULL = -30792;
const PANIC = -30795;
/** MDB_CORRUPTED, PAGE_NOTFOUND, INVALID (no LMDB file), VERSION_MISMATCH, PROBLEM, BAD_TXN (what follows them). */
const DAMAGE = new Set([-30796, -30797, -30793, -30794, -30779, -30782]);

export interface ErrorContext {
  readonly dir: string;
  /** Free on the file system when the error came up; null: not known. */
  readonly freeBytes: number | null;
}

export function toFault(error: unknown, { dir, freeBytes }: ErrorContext): Fault {
  if (isFault(error)) return error;
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  const full = code === EIO && freeBytes !== null && freeBytes < FULL_BELOW_BYTES;
  const texts = code === 'ENOSPC' || code === 'EDQUOT';
  if (full || texts || code === ENOSPC || code === EDQUOT || code === MAP_FULL) {
    return noSpace(dir, error);
  }
  if (typeof code === 'number' && DAMAGE.has(code)) return corrupt(dir, text, error);
  const hint = code === PANIC ? '; a restart opens it anew' : '';
  return new Fault('UNAVAILABLE', 'JOURNAL_IO', `The journal ${dir} failed: ${text}${hint}.`, {
    cause: error,
  });
}

export const noSpace = (dir: string, cause?: unknown): Fault =>
  new Fault('RESOURCE_EXHAUSTED', 'JOURNAL_FULL', `There is no space for the journal ${dir}.`, {
    retryAfterMs: 10_000,
    cause,
  });

export const corrupt = (dir: string, what: string, cause?: unknown): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'JOURNAL_CORRUPT',
    `The journal ${dir} is damaged: ${what}. Move the directory away to start with an empty one.`,
    { cause },
  );

export const notFound = (dir: string): Fault =>
  new Fault('NOT_FOUND', 'JOURNAL_NOT_FOUND', `There is no journal in ${dir}.`);

export const isMissing = (error: unknown): boolean => {
  const code = codeOf(error);
  return code === 'ENOENT' || code === ENOENT;
};

const codeOf = (error: unknown): unknown =>
  error instanceof Error ? (error as { code?: unknown }).code : undefined;
