// `npm run bench`: bundles test/bench/run.ts and the floors, and runs it on the built program, without a test runner.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build as bundle } from 'esbuild';
import { build, isFresh } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
if (!isFresh()) await build({ keepOld: true });

// Inside the project, so that packages left out of the bundle are found, and on a disk: a temporary directory may be memory.
const out = mkdtempSync(join(root, 'node_modules/.vmwarden-bench-'));
process.on('exit', () => rmSync(out, { recursive: true, force: true }));
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

// As scripts/build.mjs bundles the program, since the floors' size in memory is compared with its own.
await bundle({
  entryPoints: {
    run: 'test/bench/run.ts',
    'floors/bare-restart': 'test/bench/floors/bare-restart.ts',
    'floors/idle-process': 'test/bench/floors/idle-process.ts',
  },
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  external: ['lmdb', '@grpc/proto-loader'],
  loader: { '.binpb': 'binary' },
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  legalComments: 'none',
  logLevel: 'warning',
});
await import(pathToFileURL(join(out, 'run.mjs')).href);
