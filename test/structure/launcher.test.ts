import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { bundleServe } from '../../scripts/build.mjs';
import { describePart, partPath } from '../support/parts.js';

const run = promisify(execFile);

test('the launcher loads one bundle, and of Node what it ends with anyway', async () => {
  const text = await readFile('bin/vmwarden.js', 'utf8');
  const loaded = [...text.matchAll(/(?:import\(|from )'([^']*)'/g)].map(([, what]) => what);
  expect(loaded.filter((what) => !what?.startsWith('node:'))).toEqual([
    '../dist/serve.js',
    '../dist/main.js',
  ]);
});

test('the bundle of `serve` alone runs it, and reads few files', async () => {
  const { outputs } = (await bundleServe()).metafile;
  const loaded = new Set(['dist/serve.js']);
  for (const file of loaded) {
    for (const { path, external } of outputs[file]?.imports ?? []) {
      if (external !== true) loaded.add(path);
    }
  }
  expect(loaded.size).toBeLessThan(40);
  const inputs = [...loaded].flatMap((file) => Object.keys(outputs[file]?.inputs ?? {}));
  expect(inputs).toContain('src/app.ts');
  expect(inputs).not.toContain('src/cli/demo/demo.ts');
});

test.each(['bin/vmwarden.js', '.ci/run'])('%s is executable on disk', async (path) => {
  expect((await stat(path)).mode & 0o111).toBe(0o111);
});

describePart('git', 'in git', () => {
  test.for(['bin/vmwarden.js', '.ci/run'])('%s is executable', async (path, context) => {
    const isCheckout = await stat('.git').then(
      () => true,
      () => false,
    );
    context.skip(!isCheckout, 'needs a git checkout');
    // The checkout may belong to another user, whose hooks this command doesn't run.
    const options = ['-c', 'safe.directory=*'];
    const { stdout } = await run(partPath('git'), [...options, 'ls-files', '--stage', path]);
    expect(stdout).toMatch(/^100755 /);
  });
});
