import { opendir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { withDeadline } from '../../lib/with-deadline.js';
import { type Collector, sample } from './collector.js';
import type { Sample } from './instruments.js';

/** Dumps come and go slowly; a directory of thousands is not read at each scrape. */
const KEPT_MS = 30_000;
/** A look that takes longer goes on behind the scrape, which tells what the one before saw. */
const PATIENCE_MS = 500;
/** Files looked at; beyond, the sum is of these. */
const MAX_FILES = 10_000;

/** Nothing before the directory is there. One look at a time, however long a file system hangs. */
export const dumpCollector = (dir: string, keptMs = KEPT_MS): Collector => {
  let kept: { readonly samples: readonly Sample[]; readonly atMs: number } | null = null;
  let looking: Promise<readonly Sample[]> | null = null;
  return {
    group: 'dumps',
    collect: async () => {
      if (kept !== null && performance.now() - kept.atMs < keptMs) return kept.samples;
      looking ??= look(dir)
        .then((samples) => {
          kept = { samples, atMs: performance.now() };
          return samples;
        })
        .finally(() => {
          looking = null;
        });
      return (await withDeadline(PATIENCE_MS, looking)) ?? kept?.samples ?? [];
    },
  };
};

const look = async (dir: string): Promise<readonly Sample[]> => {
  try {
    const { bavail, bsize } = await statfs(dir);
    let files = 0;
    let bytes = 0;
    for await (const vm of await opendir(dir)) {
      if (!vm.isDirectory()) continue;
      for await (const file of await opendir(join(dir, vm.name))) {
        if (!file.isFile() || files === MAX_FILES) continue;
        files += 1;
        bytes += await sizeOf(join(dir, vm.name, file.name));
      }
    }
    return [
      sample('vmwarden_dumps_files', files),
      sample('vmwarden_dumps_bytes', bytes),
      sample('vmwarden_dumps_free_bytes', bavail * bsize),
    ];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};

/** What its blocks take: a dump may have holes. 0 for one that was removed meanwhile. */
const sizeOf = async (file: string): Promise<number> => {
  try {
    const { blocks } = await stat(file);
    return blocks * 512;
  } catch {
    return 0;
  }
};
