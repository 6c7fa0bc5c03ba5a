import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { corrupt, isMissing } from './errors.js';

export const DATA_FILE = 'data.mdb';

/** liblmdb's mdb.c (of lmdb-js 3.5): a page header, then MDB_meta, once in each of the first two pages. */
const MAGIC = 0xbeefc0de;
const PAGE_HEADER = 24;
const PAGE_SIZE_AT = PAGE_HEADER + 24;
const LAST_PAGE_AT = PAGE_HEADER + 120;
const META_END = PAGE_HEADER + 136;
/** Pages at the end that were freed in the transaction that made them are never written: it may be this short. */
const MISSING_PAGES_MAX = 1024;

export const LOCK_FILE = 'lock.mdb';

export type DataFileState = 'absent' | 'present';

/**
 * LMDB maps the file and believes its header: a file cut short ends the process by SIGBUS. So its header is
 * checked before. A tail that is missing within reason is added as zeros (`extend`), which LMDB finds and reports.
 * Appending can't hurt a journal that is open elsewhere.
 */
export function checkDataFile(dir: string, extend: boolean): DataFileState {
  let file: number;
  try {
    file = openSync(join(dir, DATA_FILE), extend ? constants.O_RDWR | constants.O_APPEND : 'r');
  } catch (error) {
    if (isMissing(error)) return 'absent';
    throw error;
  }
  try {
    const { size } = fstatSync(file);
    if (size === 0) return 'absent';
    const missing = wantedSize(dir, file) - size;
    if (missing <= 0) return 'present';
    if (!extend)
      throw corrupt(dir, `${DATA_FILE} is ${missing} bytes shorter than its header says`);
    writeSync(file, new Uint8Array(missing));
    return 'present';
  } finally {
    closeSync(file);
  }
}

export interface DataFileHeader {
  readonly pageSize: number;
  readonly lastPage: number;
}

/** Of the newer of both headers; null: it is no LMDB file. */
export function readHeader(file: number): DataFileHeader | null {
  const first = readMeta(file, 0);
  const second = first && readMeta(file, first.pageSize);
  if (!first || !second) return null;
  return { pageSize: first.pageSize, lastPage: Math.max(first.lastPage, second.lastPage) };
}

function wantedSize(dir: string, file: number): number {
  const { size } = fstatSync(file);
  const header = readHeader(file);
  if (!header) throw corrupt(dir, `${DATA_FILE} is no LMDB file, or lost a header`);
  const wanted = (header.lastPage + 1) * header.pageSize;
  if (wanted - size > MISSING_PAGES_MAX * header.pageSize) {
    throw corrupt(dir, `${DATA_FILE} has ${size} bytes of ${wanted}`);
  }
  return wanted;
}

function readMeta(file: number, at: number): DataFileHeader | null {
  const page = new DataView(new ArrayBuffer(META_END));
  if (readSync(file, page, 0, META_END, at) < META_END) return null;
  // LMDB writes in the machine's own order; all machines with KVM that run Node are little-endian.
  if (page.getUint32(PAGE_HEADER, true) !== MAGIC) return null;
  const pageSize = page.getUint32(PAGE_SIZE_AT, true);
  const lastPage = Number(page.getBigUint64(LAST_PAGE_AT, true));
  const sane = pageSize >= 256 && pageSize <= 65_536 && (pageSize & (pageSize - 1)) === 0;
  return sane && Number.isSafeInteger(lastPage * pageSize) ? { pageSize, lastPage } : null;
}
