import { closeSync, constants, fdatasyncSync, fstatSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { PackedCommit } from './batch.js';
import { DATA_FILE, readHeader } from './data-file.js';

/**
 * Pages at the end of the data file that are allocated and not yet in use. Every transaction is made sure of all
 * it can need beforehand: liblmdb of lmdb-js 3.5 overruns a buffer when a write of its own fails for want of
 * space (mdb_page_flush, `last_error`), which ends the process. It also makes a commit cheaper: the
 * file system has no blocks to allocate.
 */
export class Headroom {
  readonly #file: number;
  /** Set when extending failed; then it isn't tried in idle time. */
  #exhausted = false;

  constructor(dir: string) {
    this.#file = openSync(join(dir, DATA_FILE), constants.O_RDWR | constants.O_APPEND);
  }

  /** Whether so many pages can be written. Extends the file when they can't. */
  ensure(pages: number): boolean {
    const { spare, pageSize } = this.#spare();
    if (spare >= pages) return true;
    const missing = pages - spare;
    const rounded = Math.ceil(missing / CHUNK_PAGES) * CHUNK_PAGES;
    this.#exhausted = !(this.#extend(rounded * pageSize) || this.#spare().spare >= pages);
    return !this.#exhausted;
  }

  /** True when it is time for `topUp`. */
  get isLow(): boolean {
    return !this.#exhausted && this.#spare().spare < LOW_PAGES;
  }

  /** In idle time, so that the next commit finds its pages allocated and on the disk. */
  topUp(): void {
    if (this.ensure(LOW_PAGES + CHUNK_PAGES)) fdatasyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  #spare(): { spare: number; pageSize: number } {
    const header = readHeader(this.#file);
    if (!header) return { spare: 0, pageSize: 4096 };
    const { pageSize, lastPage } = header;
    return { spare: Math.floor(fstatSync(this.#file).size / pageSize) - lastPage - 1, pageSize };
  }

  #extend(bytes: number): boolean {
    try {
      // Zeros, not a hole: a hole would take its blocks only when LMDB writes.
      for (let left = bytes; left > 0; ) {
        left -= writeSync(this.#file, ZEROS, 0, Math.min(left, ZEROS.length));
      }
      return true;
    } catch {
      return false;
    }
  }
}

const CHUNK_PAGES = 256;
const LOW_PAGES = 256;
const ZEROS = new Uint8Array(256 * 1024);

/** Taking over and giving back. */
export const SMALL_PAGES = 32;
/** Beside what commits put: roots, the list of free pages; keeps SMALL_PAGES back for closing and opening. */
const BASE_PAGES = 96;
/** A path of four to the leaf, and two splits. */
const PUT_PAGES = 6;
const PAGE = 4096;

/** More pages than these commits can dirty. */
export function pagesFor(commits: readonly PackedCommit[]): number {
  let pages = BASE_PAGES;
  for (const commit of commits) pages += pagesForCommit(commit);
  return pages;
}

export function pagesForCommit({ records, rows }: PackedCommit): number {
  // Records go to the end of their tree; what is large has pages of its own. Each may have a place in a history.
  let pages = 1;
  for (const value of records) pages += PUT_PAGES + 2 + Math.ceil(value.length / PAGE);
  // A row, and its place in the index by time.
  for (const { value } of rows) pages += 2 * PUT_PAGES + Math.ceil((value?.length ?? 0) / PAGE);
  return pages;
}

/** Removing a record dirties its place in two trees. */
export const pagesForBite = (entries: number): number => BASE_PAGES + entries * 2 * PUT_PAGES;
