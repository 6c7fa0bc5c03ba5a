import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { commitOf, textBytes } from './journal-commits.js';

/**
 * A process to be killed: appends without end, a few commits at a time, and prints each commit's first and last
 * sequence once it is durable. Record n of the journal is `n`; the row `last` names its commit's last one.
 */
const [dir] = process.argv.slice(2);
if (!dir) throw new Error('usage: journal-child DIR');

const journal = await openLmdbJournal({ dir, reserveBytes: 0, pid: process.pid });
process.stdout.write('open\n');

async function appender(who: number): Promise<void> {
  for (let n = 0; ; n++) {
    const count = 1 + ((who + n) % 3);
    const from = journal.next;
    const last = from + count - 1;
    const texts = Array.from({ length: count }, (_, at) => `${from + at}`);
    const rows = [{ key: 'last', value: textBytes(`${last}`) }];
    await journal.append(commitOf(texts, { vm: `vm-${who}`, rows })).durable;
    process.stdout.write(`${from} ${last}\n`);
    if (last % 500 === 0) void journal.trim(last - 400);
  }
}

await Promise.all([0, 1, 2, 3].map(appender));
