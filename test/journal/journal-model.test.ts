import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Commit, Journal, Sequence } from '../../src/journal/journal.js';
import { bytesText, readAll, textBytes } from '../support/journal-commits.js';
import { type JournalHarness, lmdbHarness, memoryHarness } from '../support/journal-harness.js';

/**
 * Random histories of appending in bursts, failing, trimming and reopening, against a journal that is a plain
 * array. After each step everything there is to read must agree.
 */

interface Model {
  oldest: Sequence;
  records: { vm: string; text: string }[];
  rows: Map<string, string>;
}

type Step =
  | { kind: 'burst'; commits: PlainCommit[]; failing: number | null }
  | { kind: 'trim'; share: number; loss: boolean }
  | { kind: 'reopen' };

interface PlainCommit {
  records: { vm: string; text: string }[];
  rows: { key: string; value: string | null }[];
}

const vm = fc.constantFrom('', 'a', 'ab', 'ä');
const commit: fc.Arbitrary<PlainCommit> = fc.record({
  records: fc.array(fc.record({ vm, text: fc.string({ maxLength: 40 }) }), { maxLength: 4 }),
  rows: fc.array(
    fc.record({
      key: fc.constantFrom('k', 'k/1', 'k/2', 'ö', 'z'),
      value: fc.option(fc.string({ maxLength: 20 }), { nil: null }),
    }),
    { maxLength: 3 },
  ),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('burst' as const),
      commits: fc.array(commit, { minLength: 1, maxLength: 12 }),
      failing: fc.option(fc.nat(11), { nil: null }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('trim' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      loss: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
);

const toCommit = ({ records, rows }: PlainCommit): Commit => ({
  kind: 'ingest',
  records: records.map(({ vm: name, text }) => ({ vm: name, bytes: textBytes(text) })),
  rows: rows.map(({ key, value }) => ({ key, value: value === null ? null : textBytes(value) })),
});

function apply(model: Model, { records, rows }: PlainCommit): void {
  model.records.push(...records);
  for (const { key, value } of rows) {
    if (value === null) model.rows.delete(key);
    else model.rows.set(key, value);
  }
}

async function burst(harness: JournalHarness, model: Model, step: Step & { kind: 'burst' }) {
  const { journal } = harness;
  const firsts: Sequence[] = [];
  let next = model.records.length + 1;
  for (const { records } of step.commits) {
    firsts.push(next);
    next += records.length;
  }
  const failingFirst = step.failing === null ? 0 : (firsts[step.failing] ?? 0);
  // The first commit with that sequence is the one that fails.
  const failing = failingFirst === 0 ? firsts.length : firsts.indexOf(failingFirst);
  harness.failAt(failingFirst);
  const appended = step.commits.map((plain) => journal.append(toCommit(plain)));
  expect(appended.map(({ first }) => first)).toEqual(firsts);
  const results = await Promise.all(
    appended.map(({ durable }) =>
      durable.then(
        () => 'durable',
        (fault: { reason?: string }) => fault.reason,
      ),
    ),
  );
  harness.failAt(0);
  expect(results).toEqual(
    firsts.map((_, at) => {
      if (at < failing) return 'durable';
      return at === failing ? 'JOURNAL_IO' : 'JOURNAL_ROLLED_BACK';
    }),
  );
  for (const plain of step.commits.slice(0, failing)) apply(model, plain);
}

async function trim(journal: Journal, model: Model, step: Step & { kind: 'trim' }) {
  const newest = model.records.length;
  const through = Math.min(newest, Math.floor(newest * step.share));
  await journal.trim(through, step.loss ? (a, b) => textBytes(`lost ${a}-${b}`) : undefined);
  if (through < model.oldest) return;
  if (step.loss) model.records.push({ vm: '', text: `lost ${model.oldest}-${through}` });
  model.oldest = through + 1;
}

async function agree(journal: Journal, model: Model) {
  const { oldest, records } = model;
  expect(journal.next).toBe(records.length + 1);
  expect(journal.status()).toMatchObject({
    oldest: records.length === 0 ? 0 : oldest,
    newest: records.length,
  });
  const expected = records.map(({ vm: name, text }, at) => ({ sequence: at + 1, name, text }));
  const there = expected.filter(({ sequence }) => sequence >= oldest);
  expect(await readAll(journal, oldest - 1)).toEqual(there.map((r) => [r.sequence, r.text]));
  for (const name of ['', 'a', 'ab', 'ä']) {
    expect(await readAll(journal, oldest - 1, name)).toEqual(
      there.filter((r) => r.name === name).map((r) => [r.sequence, r.text]),
    );
  }
  const rows = (await journal.rows('')).map(({ key, value }) => [key, bytesText(value)]);
  expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(model.rows));
  for (const [key, value] of model.rows) expect(bytesText(journal.lookup(key))).toBe(value);
}

describe.each([
  ['MemoryJournal', memoryHarness, 100],
  ['LmdbJournal', lmdbHarness, 25],
] as const)('%s agrees with a plain array', (_, open, numRuns) => {
  it('through appending, failing, trimming and reopening', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        let harness: JournalHarness = await open();
        const model: Model = { oldest: 1, records: [], rows: new Map() };
        try {
          for (const each of steps) {
            if (each.kind === 'burst') await burst(harness, model, each);
            else if (each.kind === 'trim') await trim(harness.journal, model, each);
            else if (harness.reopen) harness = await harness.reopen();
            await agree(harness.journal, model);
          }
        } finally {
          await harness.dispose();
        }
      }),
      { numRuns },
    );
  }, 120_000);
});
