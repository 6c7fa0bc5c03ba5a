import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly dir: string;
  remove(): void;
}

/** A file system of its own of that many MiB; a text says why there can be none here. */
export function mountSmallDisk(megabytes: number): SmallDisk | string {
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir]);
  if (mounted.status !== 0) {
    rmdirSync(dir);
    return mounted.error?.message ?? mounted.stderr.toString().trim();
  }
  return {
    dir,
    remove: () => {
      spawnSync('umount', ['--lazy', dir]);
      rmdirSync(dir);
    },
  };
}
