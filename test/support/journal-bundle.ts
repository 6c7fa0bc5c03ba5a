import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const made = new Map<string, URL>();

/** Bundles a source of the project to run as a thread or a process of its own; once for each test file. */
export function bundle(source: string): URL {
  const known = made.get(source);
  if (known) return known;
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-bundle-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const outfile = join(dir, 'bundle.mjs');
  const lmdb = fileURLToPath(import.meta.resolve('lmdb'));
  buildSync({
    absWorkingDir: root,
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    // Out of the project's tree the name alone would not be found.
    alias: { lmdb },
    external: [lmdb],
    logLevel: 'warning',
  });
  const url = pathToFileURL(outfile);
  made.set(source, url);
  return url;
}

export const journalWorker = (): URL => bundle('src/journal/lmdb/worker.ts');
