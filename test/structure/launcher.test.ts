import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const launcher = 'bin/vmwarden.js';

test('the launcher is executable on disk and in git, and is one import', async () => {
  expect((await stat(launcher)).mode & 0o777).toBe(0o755);
  const { stdout } = await run('git', ['ls-files', '--stage', launcher]);
  expect(stdout).toMatch(/^100755 /);
  expect(await readFile(launcher, 'utf8')).toBe("#!/usr/bin/env node\nimport '../dist/main.js';\n");
});
