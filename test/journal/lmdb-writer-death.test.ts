import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitOf, eventually, readAll } from '../support/journal-commits.js';
import { type LmdbHarness, lmdbHarness } from '../support/journal-harness.js';

describe('a journal whose writer fails in a way that nobody foresaw', () => {
  let harness: LmdbHarness;

  beforeEach(async () => {
    harness = await lmdbHarness();
    await harness.journal.append(commitOf(['before'])).durable;
  });
  afterEach(() => harness.dispose());

  const settled = (appended: { durable: Promise<void> }[]) =>
    Promise.all(
      appended.map(({ durable }) =>
        durable.then(
          () => '',
          (fault) => fault.reason,
        ),
      ),
    );

  it('fails what is under way and all later, and goes on reading', async () => {
    const { journal } = harness;
    harness.killWriter();
    const underWay = Array.from({ length: 50 }, (_, at) => journal.append(commitOf([`${at}`])));
    const trim = journal.trim(1).catch((fault) => fault.reason);
    const reasons = await settled(underWay);
    expect(new Set(reasons.filter((reason) => reason !== ''))).toEqual(new Set(['JOURNAL_IO']));
    expect([undefined, 'JOURNAL_IO']).toContain(await trim);

    await eventually(() => (journal.status().refusing ? true : undefined));
    expect(await settled([journal.append(commitOf(['late'], { kind: 'outcome' }))])).toEqual([
      'JOURNAL_IO',
    ]);
    const { oldest, newest } = journal.status();
    expect(await readAll(journal, oldest - 1)).toHaveLength(newest - oldest + 1);
  });

  it('gives the directory back when it is closed', async () => {
    harness.killWriter();
    await settled([harness.journal.append(commitOf(['a']))]);
    harness = await harness.reopen();
    expect(harness.journal.next).toBe(2);
    await harness.journal.append(commitOf(['a'])).durable;
  });
});
