import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../lib/fault.js';
import { makeDirectory } from '../lib/make-directory.js';
import { sha256 } from '../lib/sha256.js';
import { saySize } from '../lib/size.js';
import type { DumpTarget } from '../vmm/driver.js';

export interface DumpPlace {
  readonly dir: string;
  /** A dump is refused when less is free on the directory's file system: the journal may live there too. */
  readonly floorBytes: number;
}

/** No dump of a guest is smaller than this in earnest; the journal's reserve has to outlive its end. */
const FLOOR_BYTES = 256 * 1024 ** 2;
const RESERVES = 4;

/** The free space that a dump has to find, by what the journal keeps for itself. */
export const dumpFloorBytes = (reserveBytes: number): number =>
  Math.max(RESERVES * reserveBytes, FLOOR_BYTES);

/**
 * Where a dump goes: `<dir>/vm-<id>/<incident>-<attempt>.kdump`, in directories that only their owner may enter (0700). The prefix
 * keeps a VM called `..` where it belongs. Rejects with the Fault DIRECTORY_UNUSABLE (FAILED_PRECONDITION) or
 * NO_SPACE_FOR_DUMP (RESOURCE_EXHAUSTED).
 */
export const makeDumpTarget = async (
  { dir, floorBytes }: DumpPlace,
  vm: string,
  incident: string,
  attempt: number,
): Promise<DumpTarget> => {
  const own = join(dir, folderOf(vm));
  await makeDirectory(own);
  const { bavail, bsize } = await statfs(own);
  const freeBytes = bavail * bsize;
  if (freeBytes < floorBytes) {
    throw new Fault(
      'RESOURCE_EXHAUSTED',
      'NO_SPACE_FOR_DUMP',
      `No dump into ${dir}: ${saySize(freeBytes)} are free on its file system, expected at least ${saySize(floorBytes)}`,
    );
  }
  return { path: join(own, `${incident}-${attempt}.kdump`) };
};

/** Linux's NAME_MAX; ids are ASCII. */
const MAX_NAME = 255;
const HASH = 16;

/** No id has a `~` in it, so a shortened name is nobody else's. */
const folderOf = (vm: string): string => {
  const name = `vm-${vm}`;
  if (name.length <= MAX_NAME) return name;
  return `${name.slice(0, MAX_NAME - HASH - 1)}~${sha256(vm).slice(0, HASH)}`;
};
