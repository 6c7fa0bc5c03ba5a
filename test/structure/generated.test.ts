import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describePart, partPath } from '../support/parts.js';

const run = promisify(execFile);

describePart('buf', 'src/gen', () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'vmwarden-generated-'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  test('is what `npm run generate` makes of proto/', async () => {
    await run(partPath('buf'), ['generate', '--output', scratch]);
    const fresh = join(scratch, 'src/gen');
    await run(partPath('buf'), [
      ...['build', '-o', join(fresh, 'descriptor.binpb'), '--as-file-descriptor-set'],
    ]);
    expect(await contents('src/gen')).toEqual(await contents(fresh));
  });
});

async function contents(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((it) => join(it.parentPath, it.name));
  const texts = files.sort().map(async (path) => {
    return [path.slice(folder.length), await readFile(path, 'latin1')] as const;
  });
  return Object.fromEntries(await Promise.all(texts));
}
