import { linkSync, mkdtempSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Fault } from '../../lib/fault.js';
import type { readBounds } from './claim.js';
import { checkDataFile, DATA_FILE, LOCK_FILE } from './data-file.js';
import { corrupt, isMissing, noSpace, notFound, toFault } from './errors.js';
import { openLmdbReader } from './lmdb-reader.js';
import { type OpenedWriter, openWriter } from './open-writer.js';
import { listenAsOwner } from './owner.js';
import { freeBytes, usage } from './store.js';
import type { VerifyOptions } from './verify.js';

/** What was there before, where it was asked for. */
export const KEPT_FILE = 'data.mdb.before-compact';

export interface CompactOptions {
  readonly dir: string;
  /** This process's. */
  readonly pid: number;
  /** Leaves the old file beside the new one, as `KEPT_FILE`. */
  readonly keep: boolean;
  /** The copy is walked through before it takes the old one's place. */
  readonly verify: Omit<VerifyOptions, 'onProblem'>;
}

export interface CompactReport {
  readonly id: string;
  readonly records: number;
  readonly beforeBytes: number;
  readonly afterBytes: number;
}

/**
 * LMDB's file never shrinks: what is live is copied into a new one, which takes the old one's place once every entry of
 * it was checked. At each moment the directory has one whole journal. We own it meanwhile, so nobody can write.
 *
 * Faults: JOURNAL_NOT_FOUND, JOURNAL_IN_USE, JOURNAL_NEWER_FORMAT, JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO.
 */
export const compactJournal = async (options: CompactOptions): Promise<CompactReport> => {
  const dir = resolve(options.dir);
  try {
    if (checkDataFile(dir, false) === 'absent') throw notFound(dir);
    const socket = await listenAsOwner(dir);
    try {
      const { pid } = options;
      const opened = await openWriter({ dir, reserveBytes: 0, socket: socket.name, pid });
      try {
        return await compactOwned({ ...options, dir }, opened);
      } finally {
        // The old file, wherever it is by now, is given back; the new one names us until our socket is gone.
        await opened.writer.close();
        await opened.store.env.close();
      }
    } finally {
      await socket.close();
    }
  } catch (error) {
    throw toFault(error, { dir, freeBytes: null });
  }
};

const compactOwned = async (
  { dir, keep, verify }: CompactOptions,
  { store, id, oldest, newest }: OpenedWriter,
): Promise<CompactReport> => {
  const { usedBytes } = usage(store);
  if (freeBytes(dir) < usedBytes + SPARE_BYTES) throw noSpace(dir);
  const beforeBytes = statSync(join(dir, DATA_FILE)).size;
  const copyDir = mkdtempSync(join(dir, 'compact-'));
  try {
    await store.env.backup(copyDir, true);
    const copy = join(copyDir, DATA_FILE);
    await syncFile(copy);
    const records = await check(copyDir, { id, oldest, newest }, verify);
    const afterBytes = statSync(copy).size;

    const old = join(dir, DATA_FILE);
    const kept = join(dir, KEPT_FILE);
    removeFile(kept);
    if (keep) linkSync(old, kept);
    // Its numbers of transactions are the old file's: whoever opens the new one makes a lock file of its own.
    removeFile(join(dir, LOCK_FILE));
    await rename(copy, old);
    await syncFile(dir);
    return { id, records, beforeBytes, afterBytes };
  } finally {
    rmSync(copyDir, { recursive: true, force: true });
  }
};

/** Beside the pages in use: what a copy and an open journal need at their ends. */
const SPARE_BYTES = 16 * 1024 ** 2;

/** How many records the copy has; throws when it isn't the same journal, or not whole. */
const check = async (
  dir: string,
  expected: ReturnType<typeof readBounds>,
  verify: CompactOptions['verify'],
): Promise<number> => {
  const reader = await openLmdbReader({ dir });
  try {
    let first: string | null = null;
    const report = await reader.verify({
      ...verify,
      onProblem: (problem) => {
        first ??= problem;
      },
    });
    if (first !== null) throw unlike(dir, first);
    const { newest } = reader.status();
    if (reader.id !== expected.id || newest !== expected.newest) {
      throw unlike(dir, `it ends at ${newest}, not at ${expected.newest}`);
    }
    return report.records;
  } finally {
    await reader.close();
  }
};

const unlike = (dir: string, why: string): Fault =>
  corrupt(dir, `its copy is not whole, and was thrown away: ${why}`);

const removeFile = (path: string): void => {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
};

const syncFile = async (path: string): Promise<void> => {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
