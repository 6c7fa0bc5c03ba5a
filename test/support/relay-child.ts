import type { Batch, Beat, Bus, Published } from '../../src/bus/bus.js';
import { startRelay } from '../../src/bus/relay.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { busConfig, redisBus } from './redis-bus-rig.js';
import type { RelayChildOptions } from './relay-process.js';
import { lossMarker, payload, SOON } from './relay-rig.js';

/**
 * A host's journal and relay in a process to be killed: appends without end, a few records at a time, prints the last
 * sequence of each commit once it is durable, and ends by SIGTERM in order. At the named step of the relay it
 * kills itself.
 */
const options: RelayChildOptions = JSON.parse(process.argv[2] ?? '');

let left = options.killAt?.after ?? 0;
const at = (step: string): void => {
  if (options.killAt?.step !== step) return;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
  left -= 1;
};

const journal = await openLmdbJournal({
  dir: options.dir,
  reserveBytes: 0,
  pid: process.pid,
});
const inner = redisBus(busConfig(options.port), options.host, journal.id, {
  timeoutMs: 1_000,
  silentMs: options.silentMs,
});

const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
  at(`before ${name}`);
  const working = work();
  // By then the request is on its way. Awaited, for without a connection, as on a busy machine, the work is over at once.
  const during = new Promise<void>((resolve) => {
    setImmediate(() => {
      at(`during ${name}`);
      resolve();
    });
  });
  try {
    return await working;
  } finally {
    await during;
    at(`after ${name}`);
  }
};
const bus: Bus = {
  open: (): Promise<Published | null> => step('open', () => inner.open()),
  publish: (batch: Batch) => step('publish', () => inner.publish(batch)),
  beat: (): Promise<Beat> => step('beat', () => inner.beat()),
  leave: () => step('leave', () => inner.leave()),
  onLost: (listener) => inner.onLost(listener),
  close: () => {
    at('before close');
    inner.close();
    at('after close');
  },
};

process.stdout.write(`open ${journal.id}\n`);
const silent = (): void => undefined;
const relay = startRelay({
  journal,
  bus,
  lossMarker,
  closedRecord: () => payload(journal.next, 40),
  wallMs: Date.now,
  log: { info: silent, warn: silent, error: silent },
  limits: { ...SOON, batchRecords: 16 },
});

let on = true;
process.once('SIGTERM', () => {
  on = false;
});
for (let turn = 0; on; turn += 1) {
  const first = journal.next;
  const count = 1 + (turn % 30);
  await journal.append({
    kind: 'ingest',
    records: Array.from({ length: count }, (_, index) => ({
      vm: '',
      bytes: payload(first + index, 20 + ((turn * 37) % 400)),
    })),
    rows: [],
  }).durable;
  process.stdout.write(`${first + count - 1}\n`);
  await new Promise((resolve) => setTimeout(resolve, turn % 3));
}
await relay.stop(10_000);
process.stdout.write(`left ${relay.status().lag}\n`);
await journal.close();
