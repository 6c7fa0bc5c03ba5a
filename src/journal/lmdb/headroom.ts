import { closeSync, constants, fdatasync, fstatSync, openSync, write } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DATA_FILE, readHeader } from './data-file.js';
import type { PreparedCommit } from './prepare.js';

const writeTo = promisify(write);
const flush = promisify(fdatasync);

/**
 * Pages at the end of the data file that are allocated and not yet in use. Every transaction is made sure of all
 * it can need beforehand: liblmdb of lmdb-js 3.5 overruns a buffer when a write of its own fails for want of
 * space (mdb_page_flush, `last_error`), which ends the process. It also makes a commit cheaper: the
 * file system has no blocks to allocate.
 */
export class Headroom {
  readonly #file: number;
  /** Pages that are certainly there. */
  #spare = 0;
  /** Extending failed: it isn't tried again in idle time. */
  #exhausted = false;

  constructor(dir: string) {
    this.#file = openSync(
      join(dir, DATA_FILE),
      constants.O_RDWR | constants.O_APPEND | constants.O_NOATIME,
    );
  }

  /** Whether so many pages are there for certain; they are taken as used up. */
  take(pages: number): boolean {
    if (this.#spare < pages) return false;
    this.#spare -= pages;
    return true;
  }

  /** The same, but looks, and extends the file where there are too few. Nothing else may write meanwhile. */
  async make(pages: number): Promise<boolean> {
    if (this.#spare < pages) this.#spare = this.#measure().spare;
    if (this.#spare < pages) await this.#extend(pages - this.#spare);
    return this.take(pages);
  }

  /** By what is certain; to know better is too slow to be done where a commit waits (80 us). */
  get mayBeLow(): boolean {
    return this.#spare < LOW_PAGES && !this.#exhausted;
  }

  /** In idle time, so that the next commits find their pages allocated and on the disk. */
  async topUp(): Promise<void> {
    this.#spare = this.#measure().spare;
    if (this.#spare >= WANTED_PAGES / 2) return;
    await this.#extend(WANTED_PAGES - this.#spare);
    await flush(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  #measure(): { spare: number; pageSize: number } {
    const header = readHeader(this.#file);
    if (!header) return { spare: 0, pageSize: PAGE };
    const { pageSize, lastPage } = header;
    return { spare: Math.floor(fstatSync(this.#file).size / pageSize) - lastPage - 1, pageSize };
  }

  async #extend(pages: number): Promise<void> {
    const { pageSize } = this.#measure();
    const bytes = Math.ceil(pages / CHUNK_PAGES) * CHUNK_PAGES * pageSize;
    this.#exhausted = false;
    try {
      // Zeros, not a hole: a hole would take its blocks only when LMDB writes.
      for (let left = bytes; left > 0; ) {
        const { bytesWritten } = await writeTo(this.#file, ZEROS, 0, Math.min(left, ZEROS.length));
        left -= bytesWritten;
      }
    } catch {
      this.#exhausted = true;
    }
    this.#spare = this.#measure().spare;
  }
}

const CHUNK_PAGES = 256;
const WANTED_PAGES = 1024;
const LOW_PAGES = 256;
const ZEROS = new Uint8Array(256 * 1024);

/** Taking over and giving back. */
export const SMALL_PAGES = 32;
/** Beside what commits put: roots, the list of free pages; keeps SMALL_PAGES back for closing and opening. */
const BASE_PAGES = 96;
/** A path of four to the leaf, and two splits. */
const PUT_PAGES = 6;
const PAGE = 4096;
/** What topping up takes, at most. */
export const TOP_UP_BYTES = (WANTED_PAGES + CHUNK_PAGES) * PAGE;

/** More pages than these commits can dirty. */
export function pagesFor(commits: readonly PreparedCommit[]): number {
  let pages = BASE_PAGES;
  for (const commit of commits) pages += pagesForCommit(commit);
  return pages;
}

export function pagesForCommit({ records, rows }: PreparedCommit): number {
  // Records go to the end of their tree; what is large has pages of its own. Each may have a place in a history.
  let pages = 1;
  for (const { value } of records) pages += PUT_PAGES + 2 + Math.ceil(value.length / PAGE);
  // A row, and its place in the index by time.
  for (const { value } of rows) pages += 2 * PUT_PAGES + Math.ceil((value?.length ?? 0) / PAGE);
  return pages;
}

/** Removing a record dirties its place in two trees. */
export const pagesForBite = (entries: number): number => BASE_PAGES + entries * 2 * PUT_PAGES;
