import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { readdir, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { journalCompact } from '../../src/cli/journal-compact.js';
import { journalExport } from '../../src/cli/journal-export.js';
import { journalVerify } from '../../src/cli/journal-verify.js';
import { Contact, Phase, Record } from '../../src/gen/vmwarden/v1/record.js';
import type { Entry, Journal } from '../../src/journal/journal.js';
import { compactJournal } from '../../src/journal/lmdb/compact.js';
import { openLmdbReader } from '../../src/journal/lmdb/lmdb-reader.js';
import { fakeIo } from '../support/fake-io.js';
import { textBytes } from '../support/journal-commits.js';
import { lmdbHarness } from '../support/journal-harness.js';

let dataDir: string;
let dir: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'vmwarden-compact-'));
  dir = join(dataDir, 'journal');
  mkdirSync(dir);
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

/** `vmwarden journal compact` in a process of its own. */
const compactElsewhere = () =>
  spawnSync(process.execPath, ['bin/vmwarden.js', 'journal', 'compact', '--data-dir', dataDir], {
    encoding: 'utf8',
    timeout: 30_000,
  });

const record = (vm: string, reason = ''): Entry => ({
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
        reason,
      },
    },
  }).finish(),
});

/** 6000 records, of which the last 1000 are left: most of the file is free pages. */
const prepare = async (): Promise<Journal> => {
  const { journal } = await lmdbHarness({ dir });
  for (let at = 1; at <= 6000; at++) {
    journal.append({
      kind: 'ingest',
      records: [record(['', 'a', 'b'][at % 3] ?? '', 'x'.repeat(200))],
      rows: [{ key: `k/${at % 7}`, value: textBytes(`v${at}`) }],
    });
  }
  await journal.append({ kind: 'ingest', records: [], rows: [] }).durable;
  await journal.trim(5000);
  return journal;
};

const exported = async (options = { after: 0, bytes: true }): Promise<unknown[]> => {
  const io = fakeIo();
  expect(await journalExport(io, dir, options)).toBe(0);
  return [...io.json()];
};

describe('journal export', () => {
  it('prints whose journal it is, and every record, also while it is written', async () => {
    const journal = await prepare();
    const lines = await exported();
    expect(lines).toHaveLength(1001);
    expect(lines[0]).toEqual({
      kind: 'journal',
      id: journal.id,
      format: 1,
      oldest: 5001,
      newest: 6000,
    });
    const last = lines.at(-1) as { bytes: string };
    expect(last).toMatchObject({ sequence: 6000, vmId: '', vm: { state: 'running' } });
    const { records } = await journal.read({ after: 5999 });
    expect(Buffer.from(last.bytes, 'base64').equals(records[0]?.bytes ?? Buffer.of())).toBe(true);
    expect(await exported({ after: 5998, bytes: false })).toEqual([
      lines[0],
      expect.objectContaining({ sequence: 5999 }),
      expect.not.objectContaining({ bytes: expect.anything() }),
    ]);
    await journal.close();
  });

  it('says that there is no journal', async () => {
    await expect(journalExport(fakeIo(), dir, { after: 0, bytes: false })).rejects.toMatchObject({
      reason: 'JOURNAL_NOT_FOUND',
    });
  });
});

describe('journal compact', () => {
  const file = (): string => join(dir, 'data.mdb');

  it('keeps everything, in a smaller file, which then takes records as before', async () => {
    await (await prepare()).close();
    const before = await exported();
    const beforeBytes = statSync(file()).size;
    const io = fakeIo();
    expect(await journalCompact(io, dir, { json: true, keep: false, pid: process.pid })).toBe(0);
    const afterBytes = statSync(file()).size;
    expect(io.json()).toMatchObject([{ dir, records: 1000, beforeBytes, afterBytes, kept: null }]);
    expect(afterBytes).toBeLessThan(beforeBytes / 2);
    expect(await exported()).toEqual(before);
    expect(await journalVerify(fakeIo(), dir, { json: true })).toBe(0);
    expect((await readdir(dir)).filter((name) => /compact/.test(name))).toEqual([]);

    const { journal } = await lmdbHarness({ dir });
    await journal.append({ kind: 'ingest', records: [record('a')], rows: [] }).durable;
    expect(journal.status()).toMatchObject({ oldest: 5001, newest: 6001 });
    expect(Buffer.from(journal.lookup('k/1') ?? []).toString()).toBe('v6000');
    await journal.close();
    expect(await journalVerify(fakeIo(), dir, { json: true })).toBe(0);
  });

  it('leaves the old file where it is asked to, as good as it was', async () => {
    await (await prepare()).close();
    const before = await exported();
    const io = fakeIo();
    expect(await journalCompact(io, dir, { json: false, keep: true, pid: process.pid })).toBe(0);
    expect(io.out()).toMatch(/^1000 records: .* before, .* now; data\.mdb\.before-compact\n$/);
    rmSync(file());
    rmSync(join(dir, 'lock.mdb'), { force: true });
    renameSync(join(dir, 'data.mdb.before-compact'), file());
    expect(await exported()).toEqual(before);
  });

  it('is refused while somebody writes, and changes nothing', async () => {
    const journal = await prepare();
    await expect(
      journalCompact(fakeIo(), dir, { json: true, keep: false, pid: process.pid }),
    ).rejects.toMatchObject({ reason: 'JOURNAL_IN_USE' });
    await journal.append({ kind: 'ingest', records: [record('a')], rows: [] }).durable;
    expect(journal.status().newest).toBe(6001);
    await journal.close();
  });

  it('keeps writers out until the new file is in place', async () => {
    await (await prepare()).close();
    let refused = '';
    const report = await compactJournal({
      dir,
      pid: process.pid,
      keep: false,
      verify: {
        checkRecord: ({ sequence }) => {
          if (sequence === 6000) refused = compactElsewhere().stderr;
          return null;
        },
      },
    });
    expect(refused).toContain(`is in use by process ${process.pid}`);
    expect(report.records).toBe(1000);
  });

  it('throws a copy away that is not whole, and leaves the journal as it is', async () => {
    await (await prepare()).close();
    const before = await exported();
    await expect(
      compactJournal({
        dir,
        pid: process.pid,
        keep: false,
        verify: { checkRecord: ({ sequence }) => (sequence === 5500 ? 'it is spoilt' : null) },
      }),
    ).rejects.toMatchObject({
      reason: 'JOURNAL_CORRUPT',
      message: expect.stringContaining('record 5500: it is spoilt'),
    });
    expect(await exported()).toEqual(before);
    expect((await readdir(dir)).filter((name) => /compact/.test(name))).toEqual([]);
  });

  it('founds no journal where there is none, and refuses one cut short', async () => {
    await expect(
      journalCompact(fakeIo(), dir, { json: true, keep: false, pid: 1 }),
    ).rejects.toMatchObject({ reason: 'JOURNAL_NOT_FOUND' });
    expect(existsSync(file())).toBe(false);
    await (await prepare()).close();
    await truncate(file(), 8192);
    await expect(
      journalCompact(fakeIo(), dir, { json: true, keep: false, pid: 1 }),
    ).rejects.toMatchObject({ reason: 'JOURNAL_CORRUPT' });
  });

  it('outlives readers that had the old file open', async () => {
    await (await prepare()).close();
    const reader = await openLmdbReader({ dir });
    expect(compactElsewhere()).toMatchObject({ status: 0, stderr: '' });
    expect((await reader.read({ after: 5999 })).records).toHaveLength(1);
    await reader.close();
    const { journal } = await lmdbHarness({ dir });
    await journal.append({ kind: 'ingest', records: [record('a')], rows: [] }).durable;
    expect(journal.status().newest).toBe(6001);
    await journal.close();
  });
});
