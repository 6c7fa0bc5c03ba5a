import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createHealthBoard } from '../../src/server/health-board.js';
import { watchJournal } from '../../src/watch-journal.js';
import { commitOf } from '../support/journal-commits.js';
import { type LmdbHarness, lmdbHarness } from '../support/journal-harness.js';
import { waitFor } from '../support/wait-for.js';

describe('a disk that does not answer', () => {
  let harness: LmdbHarness;
  let unwatch: () => Promise<void>;
  const health = createHealthBoard(['journal']);
  const watch = () =>
    watchJournal({
      journal: harness.journal,
      health,
      onBroken: () => undefined,
      lookMs: 5,
      stalledMs: 50,
    });

  beforeEach(async () => {
    harness = await lmdbHarness();
    unwatch = await watch();
  });
  afterEach(async () => {
    await unwatch();
    await harness.dispose();
  });

  it('is told as degraded for as long as a commit waits for it, and stays in service', async () => {
    expect(health.current()).toEqual({ serving: true, detail: [] });
    const resume = harness.stall();
    const { durable } = harness.journal.append(commitOf(['late']));
    await waitFor('it is told', () => health.current().detail.length > 0);
    expect(health.current()).toEqual({
      serving: true,
      detail: [
        expect.stringMatching(/^journal: no commit has come back for [\d.]+ s: the disk hangs$/),
      ],
    });
    // What comes meanwhile is taken in, and waits with it.
    const next = harness.journal.append(commitOf(['later'])).durable;
    expect(harness.journal.status().waitingMs).toBeGreaterThan(0);
    resume();
    await Promise.all([durable, next]);
    await waitFor('all is well again', () => health.current().detail.length === 0);
    expect(harness.journal.status()).toMatchObject({ newest: 2, waitingMs: 0 });
  });

  it('is not told where there is nothing to write', async () => {
    const resume = harness.stall();
    expect(harness.journal.status().waitingMs).toBe(0);
    resume();
  });
});
