import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

export interface LifeBundle {
  /** test/support/life-child.ts with all of vmwarden in it. */
  readonly program: string;
  /** The journal's writer thread. */
  readonly worker: URL;
}

let made: LifeBundle | null = null;

/** Bundled once for each test file, from the sources as they are now, into a directory that the process removes. */
export const lifeBundle = (): LifeBundle => {
  if (made !== null) return made;
  const dir = mkdtempSync(join(tmpdir(), 'vmw-life-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const lmdb = fileURLToPath(import.meta.resolve('lmdb'));
  buildSync({
    absWorkingDir: fileURLToPath(new URL('../..', import.meta.url)),
    entryPoints: {
      program: 'test/support/life-child.ts',
      worker: 'src/journal/lmdb/worker.ts',
    },
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
  made = { program: join(dir, 'program.mjs'), worker: new URL(`file://${dir}/worker.mjs`) };
  return made;
};
