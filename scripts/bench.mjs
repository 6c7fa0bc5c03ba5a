// `npm run bench`: bundles test/bench/run.ts and runs it on the built program, without a test runner.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build as bundle } from 'esbuild';
import { build, isFresh } from './build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
if (!isFresh()) await build();

// Inside the project, so that packages left out of the bundle are found.
const out = mkdtempSync(join(root, 'node_modules/.vmwarden-bench-'));
process.on('exit', () => rmSync(out, { recursive: true, force: true }));

await bundle({
  entryPoints: { run: 'test/bench/run.ts' },
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  packages: 'external',
  loader: { '.binpb': 'binary' },
  logLevel: 'warning',
});
await import(pathToFileURL(join(out, 'run.mjs')).href);
