import { Fault } from '../../lib/fault.js';
import type { Sequence } from '../journal.js';
import { corrupt } from './errors.js';

/** Raised whenever an older vmwarden could misread what this one writes. */
export const FORMAT = 1;

/** Rows of the `meta` database, all JSON. */
export interface Meta {
  readonly format: number;
  readonly id: string;
  /** Records below are dropped; some may still wait for their pages to be freed. */
  readonly oldest: Sequence;
  /** Who writes; absent after a proper close. */
  readonly owner: Owner;
}

export interface Owner {
  /** Name of the unix socket in the directory that answers as long as the owner lives. */
  readonly socket: string;
  readonly pid: number;
}

/** Throws unless `format` is one that this version reads and writes. */
export function checkFormat(dir: string, format: unknown): void {
  if (!Number.isSafeInteger(format)) throw corrupt(dir, 'it does not say its format');
  if (Number(format) > FORMAT) {
    throw new Fault(
      'FAILED_PRECONDITION',
      'JOURNAL_NEWER_FORMAT',
      `The journal ${dir} has format ${format}; this vmwarden reads up to format ${FORMAT}.`,
      { metadata: { format: String(format), supported: String(FORMAT) } },
    );
  }
  if (Number(format) < 1) throw corrupt(dir, `its format is ${format}`);
}
