import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Within reach of node_modules, so that `lmdb` is found; named by content, so that nobody needs to clear up. */
const cache = join(root, 'node_modules', '.cache', 'vmwarden-test');
const made = new Map<string, URL>();

/** Bundles a source of the project to run as a process of its own. */
export function bundle(source: string): URL {
  const known = made.get(source);
  if (known) return known;
  const { outputFiles } = buildSync({
    absWorkingDir: root,
    entryPoints: [source],
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    external: ['lmdb'],
    logLevel: 'warning',
    write: false,
  });
  const contents = outputFiles[0]?.contents ?? new Uint8Array(0);
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 16);
  const file = join(cache, `${hash}.mjs`);
  if (!existsSync(file)) {
    mkdirSync(cache, { recursive: true });
    const partial = `${file}.${process.pid}`;
    writeFileSync(partial, contents);
    renameSync(partial, file);
  }
  const url = pathToFileURL(file);
  made.set(source, url);
  return url;
}
