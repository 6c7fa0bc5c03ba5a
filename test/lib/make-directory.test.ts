import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeDirectory } from '../../src/lib/make-directory.js';

describe('makeDirectory', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmwarden-mkdir-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test('makes all that is missing, for the owner alone, and is content with what is there', async () => {
    await makeDirectory(join(folder, 'a', 'b'));
    await makeDirectory(join(folder, 'a', 'b'));
    for (const part of ['a', 'a/b']) {
      expect((await stat(join(folder, part))).mode & 0o777).toBe(0o700);
    }
  });

  test('says which part is no directory', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await expect(makeDirectory(file)).rejects.toThrow(
      `The directory ${file} can't be used: ${file} is not a directory`,
    );
    await expect(makeDirectory(join(file, 'x'))).rejects.toThrow(/is not a directory/);
  });

  // Node's own recursive mkdir never ends here; root gets this far, others may not write at all.
  test('ends where nothing can be made', async () => {
    await expect(makeDirectory('/proc/vmwarden/journal')).rejects.toThrow(
      /^The directory \/proc\/vmwarden\/journal can't be made: \/proc(\/vmwarden can't have directories made in it| may not be written by this user)$/,
    );
  });
});
