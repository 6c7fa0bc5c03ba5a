import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { bundleOptions } from '../../scripts/build.mjs';

test('without metrics.port neither prom-client nor the probes are loaded', async () => {
  const { metafile } = await build({
    ...bundleOptions,
    entryPoints: { app: 'src/app.ts' },
    outdir: 'dist',
    splitting: true,
    write: false,
    metafile: true,
  });
  const { outputs } = metafile;
  const inputsFrom = (entry: string, lazily: boolean): Set<string> => {
    const reached = new Set([entry]);
    // What is added on the way is visited, too.
    for (const path of reached) {
      for (const { path: next, kind } of outputs[path]?.imports ?? []) {
        if (next in outputs && (lazily || kind === 'import-statement')) reached.add(next);
      }
    }
    return new Set([...reached].flatMap((path) => Object.keys(outputs[path]?.inputs ?? {})));
  };
  const costly = (inputs: Set<string>) =>
    [...inputs].filter((path) => /prom-client|telemetry\/(metrics\/|probes)/.test(path));
  expect(costly(inputsFrom('dist/app.js', false))).toEqual([]);
  // And with it they are found, so that the above says something.
  expect(costly(inputsFrom('dist/app.js', true)).length).toBeGreaterThan(10);
});
