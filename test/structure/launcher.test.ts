import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { describePart, partPath } from '../support/parts.js';

const run = promisify(execFile);

test('the launcher is one import, so that a start loads the bundle and nothing else', async () => {
  expect(await readFile('bin/vmwarden.js', 'utf8')).toBe(
    "#!/usr/bin/env node\nimport '../dist/main.js';\n",
  );
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
