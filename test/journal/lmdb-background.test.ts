import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PreparedCommit, prepare } from '../../src/journal/lmdb/prepare.js';
import { openStore, type Store } from '../../src/journal/lmdb/store.js';
import { writeAtOnce, writeInBackground } from '../../src/journal/lmdb/transact.js';
import { WriteLoop } from '../../src/journal/lmdb/write-loop.js';
import type { Outcome, Writer } from '../../src/journal/lmdb/writer.js';
import { commitOf, textBytes } from '../support/journal-commits.js';

const commit = (first: number, texts: readonly string[]): PreparedCommit =>
  prepare(
    {
      commit: commitOf(texts, { vm: 'vm', rows: [{ key: 'k', value: textBytes(`${first}`) }] }),
      first,
      dropThrough: 0,
    },
    0,
  );

describe('a transaction in the background', () => {
  let dir: string;
  let store: Store;
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmwarden-background-'));
    store = openStore({ dir, readOnly: false, check: () => undefined });
    unhandled.length = 0;
    process.on('unhandledRejection', note);
  });
  afterEach(async () => {
    process.off('unhandledRejection', note);
    await store.env.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const write = (first: number, texts: readonly string[]) =>
    writeInBackground(store, { first, commits: [commit(first, texts)], oldest: null });
  const count = () => [
    store.records.getKeysCount({}),
    store.history.getKeysCount({}),
    store.rows.getKeysCount({}),
  ];

  it('is there as a whole when it resolves', async () => {
    await write(1, ['a', 'b']);
    expect(count()).toEqual([2, 2, 1]);
  });

  it('is not there at all when another writer has its place', async () => {
    await write(1, ['a', 'b']);
    await expect(write(2, ['c', 'd'])).rejects.toThrow('record 2 exists already');
    expect(() =>
      writeAtOnce(store, { first: 2, commits: [commit(2, ['c', 'd'])], oldest: null }),
    ).toThrow('record 2 exists already');
    expect(count()).toEqual([2, 2, 1]);
    await write(3, ['c']);
    expect(count()).toEqual([3, 3, 1]);
  });

  it('that LMDB refuses rejects with the cause, leaves nothing, and is nobody’s unhandled rejection', async () => {
    await write(1, ['a']);
    const rows = store.rows as unknown as { db: { dbi: number } };
    const { dbi } = rows.db;
    // No such database: LMDB's own EINVAL, in the middle of the transaction.
    rows.db.dbi = 77;
    await expect(write(2, ['b'])).rejects.toMatchObject({ code: 22 });
    await expect(write(2, ['b'])).rejects.toMatchObject({ code: 22 });
    rows.db.dbi = dbi;
    expect(count()).toEqual([1, 1, 1]);
    await write(2, ['b']);
    expect(count()).toEqual([2, 2, 1]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });
});

describe('the loop of a writer', () => {
  it('takes a commit that was handed over while it did its upkeep', async () => {
    let topped = (): void => undefined;
    let isTopping = (): void => undefined;
    const topping = new Promise<void>((resolve) => {
      isTopping = resolve;
    });
    let low = true;
    const outcome: Outcome = { count: 1, fault: null, belowReserve: false };
    const writer: Partial<Writer> = {
      apply: async () => outcome,
      get mayLackSpace() {
        return low;
      },
      hasDropped: false,
      topUp: () =>
        new Promise((resolve) => {
          low = false;
          topped = resolve;
          isTopping();
        }),
    };
    const settled = new Promise<Outcome>((resolve, reject) => {
      const loop = new WriteLoop({
        writer: writer as Writer,
        onOutcome: resolve,
        onFreed: () => undefined,
        onBroken: reject,
      });
      void topping.then(() => {
        loop.hand([commit(1, ['a'])]);
        topped();
      });
    });
    expect(await settled).toBe(outcome);
  });
});
