import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vitest/config';
import { defineConfig } from 'vitest/config';

/** The bundle's `binary` loader for sources that run unbundled: the default export is the file's bytes. */
const binpb: Plugin = {
  name: 'binpb',
  enforce: 'pre',
  async load(id) {
    if (!id.endsWith('.binpb')) return null;
    const base64 = (await readFile(id)).toString('base64');
    return `export default new Uint8Array(Buffer.from('${base64}', 'base64'));`;
  },
};

export default defineConfig({
  plugins: [binpb],
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/run-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Bounds against a hang, far above what any test takes; real guests boot within a second.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    env: { NO_COLOR: '1' },
    coverage: { provider: 'v8', include: ['src/**'], exclude: ['src/gen/**'] },
  },
});
