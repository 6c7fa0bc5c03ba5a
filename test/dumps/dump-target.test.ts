import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dumpFloorBytes, makeDumpTarget } from '../../src/dumps/dump-target.js';

describe('makeDumpTarget', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vmwarden-dumps-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  test('gives each VM a folder of its own, which only the owner may enter', async () => {
    const { path } = await makeDumpTarget({ dir, floorBytes: 0 }, '..', 'incident', 2);
    expect(path).toBe(join(dir, 'vm-..', 'incident-2.kdump'));
    expect((await stat(dirname(path))).mode & 0o777).toBe(0o700);
  });

  test('shortens what is longer than a file name may be, and tells two such VMs apart', async () => {
    const ids = ['a', 'b'].map((end) => 'x'.repeat(252) + end);
    for (const id of ids) await makeDumpTarget({ dir, floorBytes: 0 }, id, 'incident', 1);
    const longest = `vm-${'y'.repeat(252)}`;
    await makeDumpTarget({ dir, floorBytes: 0 }, 'y'.repeat(252), 'incident', 1);
    const folders = (await readdir(dir)).sort();
    expect(folders).toHaveLength(3);
    expect(folders.every((name) => name.length === 255)).toBe(true);
    expect(folders.filter((name) => name.includes('~'))).toHaveLength(2);
    expect(folders).toContain(longest);
  });

  test('refuses where less is free than it has to be, with both sizes', async () => {
    const floorBytes = Number.MAX_SAFE_INTEGER;
    await expect(makeDumpTarget({ dir, floorBytes }, 'web-1', 'incident', 1)).rejects.toMatchObject(
      {
        code: 'RESOURCE_EXHAUSTED',
        reason: 'NO_SPACE_FOR_DUMP',
        message: expect.stringMatching(/are free on its file system, expected at least/),
      },
    );
  });
});

test('the floor follows the reserve of the journal, and is never below 256 MiB', () => {
  expect(dumpFloorBytes(1)).toBe(256 * 1024 ** 2);
  expect(dumpFloorBytes(1024 ** 3)).toBe(4 * 1024 ** 3);
});
