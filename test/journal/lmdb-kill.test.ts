import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLmdbReader } from '../../src/journal/lmdb/lmdb-reader.js';
import { bytesText, readAll } from '../support/journal-commits.js';
import { lmdbHarness } from '../support/journal-harness.js';
import { type JournalProcess, startJournalProcess } from '../support/journal-process.js';

const ROUNDS = 20;
/** Acknowledgements after which a round's kill comes, at most. */
const MAX_ACKS = 400;

describe('a journal whose process is killed', () => {
  let dir: string;
  let child: JournalProcess | null = null;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'vmwarden-kill-'));
  });
  afterEach(async () => {
    await child?.kill();
    rmSync(dir, { recursive: true, force: true });
  });

  it(`keeps what it acknowledged, and nothing by halves, ${ROUNDS} times over`, async () => {
    let before = 0;
    for (let round = 0; round < ROUNDS; round++) {
      child = await startJournalProcess(dir);
      await child.reach(1 + Math.floor(Math.random() * MAX_ACKS));
      await child.kill();
      const acked = Math.max(before, ...child.lines.map((line) => Number(line.split(' ')[1])));

      const reader = await openLmdbReader({ dir });
      const { oldest, newest } = reader.status();
      expect(newest).toBeGreaterThanOrEqual(acked);
      const records = await readAll(reader, oldest - 1);
      expect(records.map(([sequence]) => sequence)).toEqual(
        Array.from({ length: newest - oldest + 1 }, (_, at) => oldest + at),
      );
      expect(records.every(([sequence, text]) => text === `${sequence}`)).toBe(true);
      expect(bytesText(reader.lookup('last'))).toBe(`${newest}`);
      const problems: string[] = [];
      await reader.verify({
        checkRecord: () => null,
        onProblem: (problem) => void problems.push(problem),
      });
      expect(problems).toEqual([]);
      await reader.close();
      before = newest;
    }
    expect(before).toBeGreaterThan(ROUNDS);
  }, 120_000);

  it('goes to exactly one of many who want to take it over', async () => {
    for (let round = 0; round < 3; round++) {
      child = await startJournalProcess(dir);
      await child.kill();
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, () => lmdbHarness({ dir })),
      );
      const open = results.flatMap((r) => (r.status === 'fulfilled' ? [r.value.journal] : []));
      const reasons = results.flatMap((r) => (r.status === 'rejected' ? [r.reason.reason] : []));
      expect(open).toHaveLength(1);
      expect(reasons).toEqual(Array.from({ length: 5 }, () => 'JOURNAL_IN_USE'));
      await open[0]?.close();
    }
  });

  it('is nobody else’s while it lives, and anybody’s after', async () => {
    child = await startJournalProcess(dir);
    await expect(lmdbHarness({ dir })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'JOURNAL_IN_USE',
      detail: { metadata: { pid: `${child.pid}` } },
    });
    await child.reach(10);
    const reader = await openLmdbReader({ dir });
    expect(await reader.owner()).toMatchObject({ pid: child.pid });
    await child.kill();
    expect(await reader.owner()).toBeNull();
    await reader.close();

    const { journal } = await lmdbHarness({ dir });
    expect(journal.next).toBeGreaterThan(10);
    await journal.append({ kind: 'ingest', records: [], rows: [] }).durable;
    await journal.close();
  });
});
