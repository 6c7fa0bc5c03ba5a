import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLmdbReader } from '../../src/journal/lmdb/lmdb-reader.js';
import { openStore } from '../../src/journal/lmdb/store.js';
import { bytesText, commitOf, readAll, textBytes } from '../support/journal-commits.js';
import { lmdbHarness } from '../support/journal-harness.js';

describe('opening a journal', () => {
  let parent: string;
  let dir: string;

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'vmwarden-open-'));
    dir = join(parent, 'journal');
  });
  afterEach(() => rmSync(parent, { recursive: true, force: true }));

  const open = async () => (await lmdbHarness({ dir })).journal;

  /** Leaves a closed journal of 500 records in `dir`. */
  async function prepare(): Promise<string> {
    const journal = await open();
    for (let at = 1; at <= 500; at++) {
      journal.append(commitOf([`record ${at}`.padEnd(400, '.')], { vm: 'vm' }));
    }
    await journal.append(commitOf([], { rows: [{ key: 'k', value: textBytes('v') }] })).durable;
    await journal.close();
    return journal.id;
  }

  it('makes the directory for its owner alone, and leaves no sockets behind', async () => {
    const journal = await open();
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    await journal.close();
    expect(readdirSync(dir).sort()).toEqual(['data.mdb', 'lock.mdb']);
  });

  it('finds everything again, under the same id', async () => {
    const id = await prepare();
    const journal = await open();
    expect(journal.id).toBe(id);
    expect(journal.next).toBe(501);
    expect(await readAll(journal, 0)).toHaveLength(500);
    expect(bytesText(journal.lookup('k'))).toBe('v');
    await journal.close();
  });

  it('is refused while it is open, in one process too', async () => {
    const journal = await open();
    await expect(open()).rejects.toMatchObject({ reason: 'JOURNAL_IN_USE' });
    await journal.append(commitOf(['a'])).durable;
    await journal.close();
    await (await open()).close();
  });

  it('lets exactly one of many in at the same time', async () => {
    const results = await Promise.allSettled(Array.from({ length: 6 }, open));
    const journals = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value] : []));
    expect(journals).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason.reason).toBe('JOURNAL_IN_USE');
    }
    await journals[0]?.append(commitOf(['a'])).durable;
    await journals[0]?.close();
  });

  it('works where the path is too long for a socket', async () => {
    dir = join(parent, 'd'.repeat(120), 'journal');
    const journal = await open();
    await expect(open()).rejects.toMatchObject({ reason: 'JOURNAL_IN_USE' });
    await journal.close();
    await (await open()).close();
  });

  it('refuses a newer format, and says both', async () => {
    await prepare();
    const store = openStore({ dir, readOnly: false, check: () => undefined });
    store.meta.putSync('format', 7);
    await store.env.close();
    for (const opening of [open, () => openLmdbReader({ dir })]) {
      await expect(opening()).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        reason: 'JOURNAL_NEWER_FORMAT',
        message: expect.stringMatching(/format 7; .* up to format 1/),
      });
    }
  });

  it.each([
    ['garbage', () => writeFileSync(join(dir, 'data.mdb'), Buffer.alloc(50_000, 'garbage'))],
    ['a file cut after its first page', () => truncateSync(join(dir, 'data.mdb'), 4096)],
    ['a short text', () => writeFileSync(join(dir, 'data.mdb'), 'hello')],
  ])('refuses %s', async (_, spoil) => {
    await prepare();
    spoil();
    for (const opening of [open, () => openLmdbReader({ dir })]) {
      await expect(opening()).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        reason: 'JOURNAL_CORRUPT',
      });
    }
  });

  it('survives a file that lost its tail: a fault, never the end of the process', async () => {
    await prepare();
    const file = join(dir, 'data.mdb');
    truncateSync(file, 5 * 4096);
    await expect(openLmdbReader({ dir })).rejects.toMatchObject({ reason: 'JOURNAL_CORRUPT' });
    const reading = (async () => {
      const journal = await open();
      try {
        await readAll(journal, 0);
      } finally {
        await journal.close();
      }
    })();
    await expect(reading).rejects.toMatchObject({ reason: 'JOURNAL_CORRUPT' });
  });

  it('names a directory that is no directory', async () => {
    mkdirSync(parent, { recursive: true });
    writeFileSync(dir, 'a file');
    await expect(open()).rejects.toMatchObject({ reason: 'DIRECTORY_UNUSABLE' });
  });

  it('frees what was dropped before it was closed in the middle', async () => {
    await prepare();
    const journal = await open();
    const trimming = journal.trim(500);
    await journal.append(commitOf([])).durable;
    await Promise.all([trimming, journal.close()]);
    const again = await open();
    const store = openStore({ dir, readOnly: true, check: () => undefined });
    expect(again.status()).toMatchObject({ oldest: 501, newest: 500 });
    expect(again.next).toBe(501);
    await expect
      .poll(() => {
        store.env.resetReadTxn();
        return store.records.getKeysCount({}) + store.history.getKeysCount({});
      })
      .toBe(0);
    await store.env.close();
    await again.close();
  });
});

describe('reading a journal while it is written', () => {
  it('follows it, from another handle', async () => {
    const harness = await lmdbHarness();
    const { journal, dir } = harness;
    await journal.append(commitOf(['a'], { vm: 'vm' })).durable;
    const reader = await openLmdbReader({ dir, reserveBytes: 2 ** 60 });
    expect(reader.id).toBe(journal.id);
    expect(reader.format).toBe(1);
    expect(reader.status()).toMatchObject({
      oldest: 1,
      newest: 1,
      refusing: expect.stringContaining('below the reserve'),
    });
    await journal.append(
      commitOf(['b', 'c'], { vm: 'vm', rows: [{ key: 'k', value: textBytes('v') }] }),
    ).durable;
    expect(await readAll(reader, 0, 'vm')).toHaveLength(3);
    expect(bytesText(reader.lookup('k'))).toBe('v');
    expect(await reader.rows('')).toHaveLength(1);
    await journal.trim(2);
    await expect(reader.read({ after: 0 })).rejects.toMatchObject({ reason: 'JOURNAL_TRIMMED' });
    expect(reader.newestBefore(Date.now() + 1000)).toBe(3);
    expect(await reader.owner()).toMatchObject({ pid: process.pid });
    await reader.close();
    await harness.dispose();
  });

  it('says when there is none, and makes none', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'vmwarden-none-'));
    await expect(openLmdbReader({ dir: join(dir, 'none') })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'JOURNAL_NOT_FOUND',
    });
    await expect(openLmdbReader({ dir })).rejects.toMatchObject({ reason: 'JOURNAL_NOT_FOUND' });
    expect(readdirSync(dir)).toEqual([]);
    rmSync(dir, { recursive: true });
  });
});
