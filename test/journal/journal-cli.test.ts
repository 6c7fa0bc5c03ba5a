import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { journalInfo } from '../../src/cli/journal-info.js';
import { journalVerify } from '../../src/cli/journal-verify.js';
import { Contact, Phase, Record } from '../../src/gen/vmwarden/v1/record.js';
import type { Entry } from '../../src/journal/journal.js';
import { historyKey, sequenceKey } from '../../src/journal/lmdb/keys.js';
import { openStore, type Store } from '../../src/journal/lmdb/store.js';
import { fakeIo } from '../support/fake-io.js';
import { textBytes } from '../support/journal-commits.js';
import { lmdbHarness } from '../support/journal-harness.js';

describe('journal info and verify', () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmwarden-journal-cli-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  const record = (vm: string): Entry => ({
    vm,
    bytes: Record.encode({
      recordedAt: new Date(),
      vmId: vm,
      incidentId: '',
      monotonicUs: 1n,
      body: {
        $case: 'vm',
        value: {
          uid: 'u',
          driver: 'observe',
          contact: Contact.NONE,
          state: 'running',
          bootId: 'b',
          bootEpoch: 1n,
          phase: Phase.WELL,
          reason: '',
        },
      },
    }).finish(),
  });

  /** 3000 records of two VMs and the host, the first 1000 dropped; still open. */
  async function prepare() {
    const { journal } = await lmdbHarness({ dir });
    for (let at = 1; at <= 3000; at++) {
      journal.append({
        kind: 'ingest',
        records: [record(['', 'a', 'b'][at % 3] ?? '')],
        rows: [{ key: `k/${at % 7}`, value: textBytes('v'), expiresAtMs: Date.now() + 3_600_000 }],
      });
    }
    await journal.append({ kind: 'ingest', records: [], rows: [] }).durable;
    await journal.trim(1000);
    return journal;
  }

  async function spoil(change: (store: Store) => void): Promise<void> {
    await (await prepare()).close();
    const store = openStore({ dir, readOnly: false, check: () => undefined });
    store.env.transactionSync(() => change(store));
    await store.env.close();
  }

  it('tell of a journal that is being written', async () => {
    const journal = await prepare();
    const io = fakeIo();
    expect(await journalInfo(io, dir, 0, { json: true })).toBe(0);
    expect(io.json()).toEqual([
      {
        dir,
        id: journal.id,
        format: 1,
        oldest: 1001,
        newest: 3000,
        records: 2000,
        usedBytes: expect.any(Number),
        freeBytes: expect.any(Number),
        refusing: null,
        ownerPid: process.pid,
      },
    ]);
    const verified = fakeIo();
    expect(await journalVerify(verified, dir, { json: true })).toBe(0);
    expect(verified.json()).toEqual([
      { kind: 'result', ok: true, records: 2000, historyEntries: 1333, rows: 7, problems: 0 },
    ]);
    await journal.close();
    const after = fakeIo();
    await journalInfo(after, dir, 2 ** 60, { json: false });
    expect(after.out()).toMatch(/records +2000, from 1001 to 3000\n/);
    expect(after.out()).toMatch(/ingest +refused: .* below the reserve/);
    expect(after.out()).toMatch(/written by +nobody\n/);
  });

  it('show a person how far they are', async () => {
    await (await prepare()).close();
    const io = fakeIo({ terminal: true, env: { NO_COLOR: '1' } });
    expect(await journalVerify(io, dir, { json: false })).toBe(0);
    expect(io.err()).toMatch(/verifying \[#+\] 100 %/);
    expect(io.out()).toBe('good: 2000 records, 1333 history entries, 7 rows\n');
  });

  it.each<[string, (store: Store) => void, RegExp]>([
    [
      'a record that is missing',
      ({ records }) => records.removeSync(sequenceKey(1500)),
      /^record 1500 is missing$/,
    ],
    [
      'the last ones missing',
      ({ meta, records }) => {
        meta.putSync('oldest', 3001);
        records.putSync(sequenceKey(3010), records.get(sequenceKey(3000)) ?? new Uint8Array(9));
      },
      /^records 3001 to 3009 are missing$/,
    ],
    [
      'a record that is no record',
      ({ records }) =>
        records.putSync(sequenceKey(1002), new Uint8Array([0, 0, 0, 0, 0, 0, 0, 255, 255])),
      /^record 1002: it can't be decoded/,
    ],
    [
      'a record cut short',
      ({ records }) => records.putSync(sequenceKey(1002), new Uint8Array(3)),
      /^record 1002 is cut short: 3 bytes$/,
    ],
    [
      "a record missing from its VM's history",
      ({ history }) => history.removeSync(historyKey(textBytes('a'), 1003)),
      /^record 1003 is missing from the history of VM 'a'$/,
    ],
    [
      "a history that names another's record",
      ({ history }) => history.putSync(historyKey(textBytes('a'), 1004), new Uint8Array(1)),
      /^the history of VM 'a' names record 1004, which belongs to another$/,
    ],
    [
      'a VM row that is none',
      ({ rows }) => rows.putSync(textBytes('vm/x'), textBytes('\0\0\0\0\0\0nonsense')),
      /^row 'vm\/x': it can't be decoded$/,
    ],
  ])('name %s', async (_, change, problem) => {
    await spoil(change);
    const io = fakeIo();
    expect(await journalVerify(io, dir, { json: true })).toBe(1);
    const lines = io.json();
    expect(lines.map((line) => line['problem'])).toContainEqual(expect.stringMatching(problem));
    expect(lines.at(-1)).toMatchObject({ kind: 'result', ok: false });
  });

  it('say that there is none', async () => {
    await expect(journalInfo(fakeIo(), join(dir, 'none'), 0, { json: true })).rejects.toMatchObject(
      { reason: 'JOURNAL_NOT_FOUND' },
    );
  });
});
