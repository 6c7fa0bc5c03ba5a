import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll } from 'vitest';

let made: string | null = null;
const dirs: string[] = [];

afterAll(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  made = null;
});

/** test/support/life-child.ts with all of vmwarden in it: bundled once for each test file, from the sources as they are now. */
export const lifeBundle = (): string => {
  if (made !== null) return made;
  const dir = mkdtempSync(join(tmpdir(), 'vmw-life-'));
  dirs.push(dir);
  const lmdb = fileURLToPath(import.meta.resolve('lmdb'));
  buildSync({
    absWorkingDir: fileURLToPath(new URL('../..', import.meta.url)),
    entryPoints: { program: 'test/support/life-child.ts' },
    outdir: dir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    // Out of the project's tree the name alone would not be found.
    alias: { lmdb },
    external: [lmdb, '@grpc/proto-loader'],
    loader: { '.binpb': 'binary' },
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  made = join(dir, 'program.mjs');
  return made;
};
