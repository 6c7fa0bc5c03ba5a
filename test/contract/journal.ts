import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Appended, Journal } from '../../src/journal/journal.js';
import { bytesText, commitOf, eventually, readAll, textBytes } from '../support/journal-commits.js';
import type { JournalHarness } from '../support/journal-harness.js';

/** What every Journal must do, run over each implementation. */
export function journalContract(name: string, open: () => Promise<JournalHarness>): void {
  describe(`${name} keeps the journal's contract`, () => {
    let harness: JournalHarness;
    let journal: Journal;

    beforeEach(async () => {
      harness = await open();
      journal = harness.journal;
    });
    afterEach(() => harness.dispose());

    const settle = (appended: Appended) =>
      appended.durable.then(
        () => 'durable',
        (fault: { reason?: string }) => fault.reason,
      );

    describe('appending', () => {
      it('begins empty, with an id of 128 bits', async () => {
        expect(journal.id).toMatch(/^[0-9a-f]{32}$/);
        expect(journal.next).toBe(1);
        expect(journal.status()).toMatchObject({ oldest: 0, newest: 0, refusing: null });
        expect(await journal.read({ after: 0 })).toEqual({ records: [], scanned: 0 });
      });

      it('gives out sequences at once, without gaps, in call order', async () => {
        const a = journal.append(commitOf(['a', 'b']));
        const b = journal.append(commitOf([]));
        const c = journal.append(commitOf(['c']));
        expect([a.first, b.first, c.first, journal.next]).toEqual([1, 3, 3, 4]);
        await c.durable;
        expect(await readAll(journal, 0)).toEqual([
          [1, 'a'],
          [2, 'b'],
          [3, 'c'],
        ]);
      });

      it('settles in the order of the calls', async () => {
        const order: number[] = [];
        const commits = Array.from({ length: 50 }, (_, at) =>
          journal.append(commitOf([`${at}`])).durable.then(() => order.push(at)),
        );
        await Promise.all(commits);
        expect(order).toEqual([...order].sort((a, b) => a - b));
        expect(order).toHaveLength(50);
      });

      it('shows nothing that is not durable', async () => {
        const { durable } = journal.append(
          commitOf(['a'], { rows: [{ key: 'k', value: textBytes('v') }] }),
        );
        expect(journal.status().newest).toBe(0);
        expect(journal.lookup('k')).toBeUndefined();
        await durable;
        expect(journal.status()).toMatchObject({ oldest: 1, newest: 1 });
        expect(bytesText(journal.lookup('k'))).toBe('v');
      });

      it('takes a commit of nothing as a barrier', async () => {
        let durable = false;
        void journal.append(commitOf(['a'])).durable.then(() => {
          durable = true;
        });
        await journal.append(commitOf([])).durable;
        expect(durable).toBe(true);
      });

      it('keeps concurrent appenders apart', async () => {
        const appenders = Array.from({ length: 20 }, async (_, who) => {
          for (let n = 0; n < 20; n++) {
            const text = `${who}/${n}`;
            const { first, durable } = journal.append(
              commitOf([text, text], {
                vm: `vm-${who}`,
                rows: [{ key: `last/${who}`, value: textBytes(text) }],
              }),
            );
            await durable;
            const { records } = await journal.read({ after: first - 1, limit: 2 });
            expect(records.map(({ bytes }) => bytesText(bytes))).toEqual([text, text]);
            expect(bytesText(journal.lookup(`last/${who}`))).toBe(text);
          }
        });
        await Promise.all(appenders);
        expect((await readAll(journal, 0)).map(([sequence]) => sequence)).toEqual(
          Array.from({ length: 800 }, (_, at) => at + 1),
        );
        expect((await readAll(journal, 0, 'vm-7')).map(([, text]) => text)).toEqual(
          Array.from({ length: 40 }, (_, at) => `7/${Math.floor(at / 2)}`),
        );
      });

      it('keeps large and empty records as they are', async () => {
        const large = new Uint8Array(3_000_000).map((_, at) => at % 251);
        await journal.append({
          kind: 'ingest',
          records: [
            { vm: 'v', bytes: large },
            { vm: 'v', bytes: new Uint8Array(0) },
          ],
          rows: [{ key: 'large', value: large }],
        }).durable;
        const { records } = await journal.read({ after: 0, maxBytes: 10_000_000 });
        expect(records.map(({ bytes }) => bytes.length)).toEqual([3_000_000, 0]);
        expect(Buffer.compare(records[0]?.bytes ?? large.subarray(1), large)).toBe(0);
        expect(Buffer.compare(journal.lookup('large') ?? large.subarray(1), large)).toBe(0);
      });

      it('tells listeners the newest durable sequence until they leave', async () => {
        const heard: number[] = [];
        const stop = journal.onDurable((newest) => heard.push(newest));
        await journal.append(commitOf(['a', 'b'])).durable;
        await journal.append(commitOf(['c'])).durable;
        await eventually(() => (heard.at(-1) === 3 ? true : undefined));
        expect(heard).toEqual([2, 3]);
        stop();
        await journal.append(commitOf(['d'])).durable;
        await journal.append(commitOf([])).durable;
        expect(heard).toEqual([2, 3]);
      });

      it.each([
        ['an empty key', { rows: [{ key: '', value: null }] }, /rows\[0\]\.key/],
        ['a key of 512 bytes', { rows: [{ key: 'k'.repeat(512), value: null }] }, /512 bytes long/],
        ['a VM of 256 bytes', { vm: 'ä'.repeat(128) }, /records\[0\]\.vm is 256 bytes long/],
        [
          'an expiry that is no time',
          { rows: [{ key: 'k', value: textBytes(''), expiresAtMs: Number.NaN }] },
          /rows\[0\]\.expiresAtMs is NaN/,
        ],
      ])('refuses %s before anything is given out', async (_, rest, message) => {
        expect(() => journal.append(commitOf(['a'], rest))).toThrow(message);
        expect(journal.next).toBe(1);
        await journal.append(commitOf(['b'])).durable;
        expect(await readAll(journal, 0)).toEqual([[1, 'b']]);
      });
    });

    describe('a commit that fails', () => {
      it('takes all behind it with it, and their sequences are given out again', async () => {
        await journal.append(commitOf(['kept'])).durable;
        harness.failAt(3);
        const results = [
          journal.append(commitOf(['a'])),
          journal.append(commitOf(['b'], { rows: [{ key: 'b', value: textBytes('b') }] })),
          journal.append(commitOf(['c'])),
          journal.append(commitOf([], { rows: [{ key: 'd', value: textBytes('d') }] })),
        ].map(settle);
        expect(await Promise.all(results)).toEqual([
          'durable',
          'JOURNAL_IO',
          'JOURNAL_ROLLED_BACK',
          'JOURNAL_ROLLED_BACK',
        ]);
        expect(journal.next).toBe(3);
        expect(journal.lookup('b')).toBeUndefined();
        expect(journal.lookup('d')).toBeUndefined();
        harness.failAt(0);
        const again = journal.append(commitOf(['e', 'f']));
        expect(again.first).toBe(3);
        await again.durable;
        expect((await readAll(journal, 0)).map(([, text]) => text)).toEqual([
          'kept',
          'a',
          'e',
          'f',
        ]);
      });

      it('takes rows built on it with it, even where no sequence tells them apart', async () => {
        harness.failAt(1);
        const rows = (key: string) => [{ key, value: textBytes(key) }];
        const failed = journal.append(commitOf([], { rows: rows('a') }));
        const behind = journal.append(commitOf([], { rows: rows('b') }));
        const later = failed.durable.catch(() => {
          harness.failAt(0);
          return journal.append(commitOf([], { rows: rows('c') })).durable;
        });
        expect(await settle(behind)).toBe('JOURNAL_ROLLED_BACK');
        await later;
        expect((await journal.rows('')).map(({ key }) => key)).toEqual(['c']);
      });

      it('takes with it what was appended before its failure was known', async () => {
        harness.failAt(1);
        const rows = (key: string) => [{ key, value: textBytes(key) }];
        const failed = journal.append(commitOf([], { rows: rows('a') }));
        // The turn ends, so it is on its way, and fails only later.
        await Promise.resolve();
        const behind = [
          journal.append(commitOf([], { rows: rows('b') })),
          journal.append(commitOf(['c'])),
        ];
        expect(await Promise.all([failed, ...behind].map(settle))).toEqual([
          'JOURNAL_IO',
          'JOURNAL_ROLLED_BACK',
          'JOURNAL_ROLLED_BACK',
        ]);
        harness.failAt(0);
        await journal.append(commitOf([])).durable;
        expect(await journal.rows('')).toEqual([]);
        expect(journal.next).toBe(1);
      });

      it('is no unhandled rejection when nobody looks', async () => {
        harness.failAt(1);
        journal.append(commitOf(['a']));
        const behind = journal.append(commitOf(['b']));
        expect(await settle(behind)).toBe('JOURNAL_ROLLED_BACK');
      });
    });

    describe('rows', () => {
      it('are written, replaced and removed with their commit, and come in key order', async () => {
        const put = (key: string, value: string | null) => ({
          key,
          value: value === null ? null : textBytes(value),
        });
        await journal.append(
          commitOf([], {
            rows: [put('vm/b', '1'), put('vm/a', '1'), put('vn', '1'), put('vm/ä', '1')],
          }),
        ).durable;
        await journal.append(
          commitOf([], { rows: [put('vm/b', '2'), put('vm/a', null), put('vm/none', null)] }),
        ).durable;
        const rows = (await journal.rows('vm/')).map(({ key, value }) => [key, bytesText(value)]);
        expect(rows).toEqual([
          ['vm/b', '2'],
          ['vm/ä', '1'],
        ]);
        expect((await journal.rows('')).map(({ key }) => key)).toEqual(['vm/b', 'vm/ä', 'vn']);
        expect(await journal.rows('x')).toEqual([]);
        expect(journal.lookup('vm/a')).toBeUndefined();
      });

      it('come completely and from one moment, however many there are', async () => {
        const write = (value: string) =>
          journal.append(
            commitOf([], {
              rows: Array.from({ length: 2000 }, (_, at) => ({
                key: `r/${String(at).padStart(4, '0')}`,
                value: textBytes(value),
              })),
            }),
          ).durable;
        await write('1');
        const [rows] = await Promise.all([journal.rows('r/'), write('2')]);
        expect(rows).toHaveLength(2000);
        expect(new Set(rows.map(({ value }) => bytesText(value))).size).toBe(1);
      });

      it('go away after their expiry, unless they were written again', async () => {
        // Ahead of the real clock, by which it may still be sweeping.
        const soon = Date.now() + 3_600_000;
        harness.setTime(soon);
        const rows = ['gone', 'renewed', 'kept'].map((key) => ({
          key,
          value: textBytes('v'),
          expiresAtMs: soon + 100,
        }));
        await journal.append(commitOf([], { rows })).durable;
        await journal.append(
          commitOf([], {
            rows: [
              { key: 'renewed', value: textBytes('v'), expiresAtMs: soon + 1_000_000 },
              { key: 'kept', value: textBytes('v') },
            ],
          }),
        ).durable;
        expect(await journal.rows('')).toHaveLength(3);
        harness.setTime(soon + 500_000);
        await eventually(async () => {
          await journal.append(commitOf([])).durable;
          return journal.lookup('gone') === undefined ? true : undefined;
        });
        expect((await journal.rows('')).map(({ key }) => key)).toEqual(['kept', 'renewed']);
      });
    });

    describe('reading', () => {
      beforeEach(async () => {
        for (let at = 1; at <= 300; at++) {
          journal.append(commitOf([`record ${at}`], { vm: at % 3 === 0 ? 'third' : '' }));
        }
        await journal.append(commitOf([])).durable;
      });

      it('pages by records', async () => {
        const { records, scanned } = await journal.read({ after: 10, limit: 200 });
        expect(records.map(({ sequence }) => sequence)).toEqual(
          Array.from({ length: 200 }, (_, at) => at + 11),
        );
        expect(scanned).toBe(210);
        const rest = await journal.read({ after: 210, limit: 200 });
        expect([rest.records.length, rest.scanned]).toEqual([90, 300]);
      });

      it('pages by bytes, and gives at least one record', async () => {
        const { records, scanned } = await journal.read({ after: 99, maxBytes: 25 });
        expect([records.length, scanned]).toEqual([2, 101]);
        const one = await journal.read({ after: 99, maxBytes: 1 });
        expect([one.records.length, one.scanned]).toEqual([1, 100]);
      });

      it("gives one VM's history", async () => {
        const { records, scanned } = await journal.read({ after: 100, vm: 'third', limit: 5 });
        expect(records.map(({ sequence }) => sequence)).toEqual([102, 105, 108, 111, 114]);
        expect(scanned).toBe(114);
        expect(await readAll(journal, 0, 'third')).toHaveLength(100);
        const end = await journal.read({ after: 297, vm: 'third' });
        expect([end.records.length, end.scanned]).toEqual([1, 300]);
        expect(await journal.read({ after: 0, vm: 'thi' })).toEqual({ records: [], scanned: 300 });
        expect(await readAll(journal, 0, '')).toHaveLength(200);
      });

      it('ends at the newest, also for who is ahead', async () => {
        expect(await journal.read({ after: 300 })).toEqual({ records: [], scanned: 300 });
        expect(await journal.read({ after: 400 })).toEqual({ records: [], scanned: 400 });
      });

      it.each([
        { after: -1 },
        { after: 1.5 },
        { after: 0, limit: 0 },
        { after: 0, maxBytes: Number.NaN },
      ])('refuses %o', async (query) => {
        await expect(journal.read(query)).rejects.toMatchObject({ reason: 'JOURNAL_BAD_INPUT' });
      });
    });

    describe('trimming', () => {
      beforeEach(async () => {
        for (let at = 1; at <= 400; at++) {
          harness.setTime(at * 1000);
          await journal.append(commitOf([`record ${at}`], { vm: `vm-${at % 2}` })).durable;
        }
      });

      it('drops the oldest and tells a reader who is behind', async () => {
        const before = journal.status();
        await journal.trim(300);
        expect(journal.status()).toMatchObject({ oldest: 301, newest: 400 });
        expect(journal.status().usedBytes).toBeLessThan(before.usedBytes);
        for (const after of [0, 299]) {
          await expect(journal.read({ after })).rejects.toMatchObject({
            code: 'OUT_OF_RANGE',
            reason: 'JOURNAL_TRIMMED',
            detail: { metadata: { oldest: '301' } },
          });
        }
        await expect(journal.read({ after: 0, vm: 'vm-0' })).rejects.toMatchObject({
          reason: 'JOURNAL_TRIMMED',
        });
        expect(await readAll(journal, 300)).toHaveLength(100);
        expect(await readAll(journal, 300, 'vm-0')).toHaveLength(50);
        await journal.trim(200);
        expect(journal.status().oldest).toBe(301);
      });

      it('leaves a marker over exactly what was lost', async () => {
        const lost: [number, number][] = [];
        const marker = (first: number, last: number) => {
          lost.push([first, last]);
          return textBytes(`lost ${first}-${last}`);
        };
        await Promise.all([journal.trim(100, marker), journal.trim(150, marker)]);
        expect(lost).toEqual([
          [1, 100],
          [101, 150],
        ]);
        expect(journal.status()).toMatchObject({ oldest: 151, newest: 402 });
        expect((await readAll(journal, 400)).map(([, text]) => text)).toEqual([
          'lost 1-100',
          'lost 101-150',
        ]);
      });

      it('can drop everything, and goes on counting', async () => {
        await journal.trim(400);
        expect(journal.status()).toMatchObject({ oldest: 401, newest: 400 });
        expect(await journal.read({ after: 400 })).toEqual({ records: [], scanned: 400 });
        const { first, durable } = journal.append(commitOf(['new']));
        expect(first).toBe(401);
        await durable;
        expect(journal.status()).toMatchObject({ oldest: 401, newest: 401 });
        expect(await readAll(journal, 400)).toEqual([[401, 'new']]);
      });

      it('goes on beside appending and reading, and nobody sees a hole', async () => {
        const trims = (async () => {
          for (const through of [50, 130, 135, 390]) await journal.trim(through);
        })();
        for (let at = 0; at < 100; at++) {
          await journal.append(commitOf([`more ${at}`], { vm: 'vm-0' })).durable;
          for (const vm of [undefined, 'vm-0']) {
            const { records } = await journal
              .read({ after: journal.status().oldest - 1, ...(vm && { vm }) })
              .catch((fault: { reason?: string }) => {
                // Dropped between the two calls: that is an answer, a hole is none.
                expect(fault.reason).toBe('JOURNAL_TRIMMED');
                return { records: [] };
              });
            const sequences = records.map(({ sequence }) => sequence);
            const step = vm ? 2 : 1;
            for (const [n, sequence] of sequences.entries()) {
              const previous = sequences[n - 1];
              if (previous && sequence <= 400) expect(sequence - previous).toBe(step);
            }
          }
        }
        await trims;
        expect(journal.status()).toMatchObject({ oldest: 391, newest: 500 });
      });

      it('refuses what is not there yet', async () => {
        await expect(journal.trim(401)).rejects.toMatchObject({ reason: 'JOURNAL_BAD_INPUT' });
      });

      it('finds records by age', async () => {
        expect(journal.newestBefore(1)).toBe(0);
        expect(journal.newestBefore(100_000)).toBe(99);
        expect(journal.newestBefore(100_001)).toBe(100);
        expect(journal.newestBefore(1e12)).toBe(400);
        await journal.trim(200);
        expect(journal.newestBefore(100_000)).toBe(200);
        expect(journal.newestBefore(300_500)).toBe(300);
        await journal.trim(400);
        expect(journal.newestBefore(1e12)).toBe(400);
      });
    });

    describe('closing', () => {
      it('lets commits under way end, refuses later ones, and can be repeated', async () => {
        const underWay = Array.from({ length: 100 }, (_, at) =>
          settle(journal.append(commitOf([`${at}`]))),
        );
        const closing = journal.close();
        expect(await settle(journal.append(commitOf(['late'])))).toBe('JOURNAL_CLOSED');
        await Promise.all([closing, journal.close()]);
        expect(new Set(await Promise.all(underWay))).toEqual(new Set(['durable']));
        await expect(journal.read({ after: 0 })).rejects.toMatchObject({
          reason: 'JOURNAL_CLOSED',
        });
        await expect(journal.trim(1)).rejects.toMatchObject({ reason: 'JOURNAL_CLOSED' });
        expect(() => journal.lookup('k')).toThrow('closed');
      });
    });
  });
}
