import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Commit, Journal } from '../../src/journal/journal.js';
import { commitOf, readAll } from '../support/journal-commits.js';
import { mountSmallDisk } from '../support/journal-disk.js';
import { lmdbHarness } from '../support/journal-harness.js';

const MIB = 1024 * 1024;
const RESERVE = 4 * MIB;
/** More than the reserve, so that taking it away brings ingest back. */
const BALLAST = 8 * MIB;

const disk = mountSmallDisk(24);
const why = typeof disk === 'string' ? ` (skipped: no file system can be mounted: ${disk})` : '';

describe.skipIf(typeof disk === 'string')(`a journal on a full disk${why}`, () => {
  const mount = typeof disk === 'string' ? '' : disk.dir;
  afterAll(() => {
    if (typeof disk !== 'string') disk.remove();
  });

  const free = () => statfsSync(mount).bavail * statfsSync(mount).bsize;

  /** Appends, a few at a time, until one is refused; returns what was acknowledged, and why it ended. */
  async function fill(journal: Journal, kind: Commit['kind'], size: number) {
    const acked: number[] = [];
    const text = '.'.repeat(size);
    for (;;) {
      const round = Array.from({ length: 4 }, () => journal.append(commitOf([text], { kind })));
      const results = await Promise.allSettled(round.map(({ durable }) => durable));
      const failed = results.findIndex(({ status }) => status === 'rejected');
      const until = failed < 0 ? results.length : failed;
      for (const { first } of round.slice(0, until)) acked.push(first);
      if (failed >= 0) {
        const reasons = results
          .slice(failed)
          .map((r) => (r.status === 'rejected' ? r.reason.reason : 'durable'));
        return { acked, reasons };
      }
    }
  }

  it('refuses ingest, then everything, loses nothing, and recovers when space is freed', async () => {
    const ballast = join(mount, 'ballast');
    writeFileSync(ballast, Buffer.alloc(BALLAST));
    const harness = await lmdbHarness({ dir: join(mount, 'journal'), reserveBytes: RESERVE });
    const { journal } = harness;

    const ingest = await fill(journal, 'ingest', 3000);
    expect(ingest.reasons[0]).toBe('JOURNAL_FULL');
    expect(new Set(ingest.reasons.slice(1))).toEqual(new Set(['JOURNAL_ROLLED_BACK']));
    expect(free()).toBeLessThan(RESERVE);
    expect(free()).toBeGreaterThan(RESERVE - 2 * MIB);
    expect(journal.status().refusing).toContain('below the reserve');

    // Outcomes use the reserve up, ingest beside them is refused without taking them with it.
    const outcomes: number[] = [];
    for (let n = 0; n < 20; n++) {
      const refused = journal.append(commitOf(['more'])).durable;
      await expect(refused).rejects.toMatchObject({ reason: 'JOURNAL_FULL' });
      const { first, durable } = journal.append(commitOf(['outcome'], { kind: 'outcome' }));
      await durable;
      outcomes.push(first);
    }
    const rest = await fill(journal, 'outcome', 3000);
    expect(rest.reasons[0]).toBe('JOURNAL_FULL');
    expect(free()).toBeLessThan(MIB);
    const again = journal.append(commitOf(['x'.repeat(8000)], { kind: 'outcome' })).durable;
    await expect(again).rejects.toMatchObject({ reason: 'JOURNAL_FULL' });

    const acked = [...ingest.acked, ...outcomes, ...rest.acked];
    expect((await readAll(journal, 0)).map(([sequence]) => sequence)).toEqual(acked);

    rmSync(ballast);
    const { first, durable } = journal.append(commitOf(['after']));
    await durable;
    expect(first).toBe(acked.length + 1);
    expect(journal.status().refusing).toBeNull();

    const reopened = await harness.reopen();
    expect(reopened.journal.next).toBe(first + 1);
    expect(await readAll(reopened.journal, 0)).toHaveLength(first);
    await reopened.dispose();
  }, 60_000);

  it('can be opened, read and closed while nothing can be written', async () => {
    const dir = join(mount, 'journal');
    const harness = await lmdbHarness({ dir });
    await harness.journal.append(commitOf(['kept'])).durable;
    await harness.journal.close();
    const ballast = join(mount, 'ballast');
    writeFileSync(ballast, Buffer.alloc(free()));
    const reopened = await harness.reopen().catch((fault) => fault.reason);
    if (typeof reopened === 'string') expect(reopened).toBe('JOURNAL_FULL');
    else {
      expect(await readAll(reopened.journal, 0)).toHaveLength(1);
      await reopened.journal.close();
    }
    rmSync(ballast);
    const last = await lmdbHarness({ dir });
    expect(await readAll(last.journal, 0)).toHaveLength(1);
    await last.dispose();
  });
});
