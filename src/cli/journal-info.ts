import { openLmdbReader } from '../journal/lmdb/lmdb-reader.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { table } from './table.js';

/** Prints what there is to know of the journal in `dir` without reading it through. */
export const journalInfo = async (
  io: Io,
  dir: string,
  reserveBytes: number,
  options: { readonly json: boolean },
): Promise<number> => {
  const reader = await openLmdbReader({ dir, reserveBytes });
  try {
    const { oldest, newest, usedBytes, freeBytes, refusing } = reader.status();
    const owner = await reader.owner();
    const records = newest === 0 ? 0 : newest - oldest + 1;
    if (options.json) {
      await printJson(io.stdout, {
        dir,
        id: reader.id,
        format: reader.format,
        oldest,
        newest,
        records,
        usedBytes,
        freeBytes,
        refusing,
        ownerPid: owner?.pid ?? null,
      });
      return GOOD;
    }
    const lines = table([
      ['directory', dir],
      ['id', reader.id],
      ['format', String(reader.format)],
      ['records', records === 0 ? 'none' : `${records}, from ${oldest} to ${newest}`],
      ['in use', sizeOf(usedBytes)],
      ['free', sizeOf(freeBytes)],
      ['ingest', refusing === null ? 'taken' : `refused: ${refusing}`],
      ['written by', owner === null ? 'nobody' : `process ${owner.pid}`],
    ]);
    for (const line of lines) await printLine(io.stdout, line);
    return GOOD;
  } finally {
    await reader.close();
  }
};

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

const sizeOf = (bytes: number): string => {
  const power = Math.min(Math.floor(Math.log2(Math.max(1, bytes)) / 10), UNITS.length - 1);
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`;
};
