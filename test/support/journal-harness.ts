import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { Journal, Sequence } from '../../src/journal/journal.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import { FAULT_AT, FAULT_COUNT, FAULT_KILL } from '../../src/journal/lmdb/protocol.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { journalWorker } from './journal-bundle.js';

/** A journal under test, with the strings to pull on it. */
export interface JournalHarness {
  readonly journal: Journal;
  /** Commits whose first sequence this is fail; 0: none. */
  failAt(first: Sequence): void;
  /**
   * Where commits fail in another thread: holds the event loop up until the first one has; its rejection comes
   * afterwards, and no more fail.
   */
  blockUntilFailed(): void;
  /** What the journal takes for the time; default: the real one. */
  setTime(wallMs: number): void;
  /** Closes it and opens it again; absent where nothing outlives closing. */
  reopen?(): Promise<JournalHarness>;
  /** Closes and removes it. */
  dispose(): Promise<void>;
}

export interface LmdbHarness extends JournalHarness {
  readonly dir: string;
  readonly worker: Worker;
  /** The writer thread throws at its next transaction. */
  killWriter(): void;
  reopen(): Promise<LmdbHarness>;
}

export async function memoryHarness(): Promise<JournalHarness> {
  const clock = harnessClock();
  const journal = new MemoryJournal({ now: clock.now });
  return {
    journal,
    failAt: (first) => journal.failAt(first),
    blockUntilFailed: () => undefined,
    setTime: clock.set,
    dispose: () => journal.close(),
  };
}

export function lmdbHarness(options: { dir?: string; reserveBytes?: number } = {}) {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'vmwarden-journal-'));
  return openHarness(dir, options.reserveBytes ?? 0);
}

async function openHarness(dir: string, reserveBytes: number): Promise<LmdbHarness> {
  const clock = harnessClock();
  const faults = new Int32Array(new SharedArrayBuffer(12));
  let worker: Worker | null = null;
  const journal = await openLmdbJournal({
    dir,
    reserveBytes,
    workerUrl: journalWorker(),
    now: clock.now,
    sweepEveryMs: 20,
    hooks: {
      faults,
      started: (started) => {
        worker = started;
      },
    },
  });
  if (!worker) throw new Error('the writer thread was not shown');
  return {
    journal,
    dir,
    worker,
    failAt: (first) => {
      Atomics.store(faults, FAULT_AT, first);
    },
    blockUntilFailed: () => {
      Atomics.wait(faults, FAULT_COUNT, 0, 10_000);
      Atomics.store(faults, FAULT_AT, 0);
    },
    killWriter: () => {
      Atomics.store(faults, FAULT_KILL, 1);
    },
    setTime: clock.set,
    reopen: async () => {
      await journal.close();
      return openHarness(dir, reserveBytes);
    },
    dispose: async () => {
      await journal.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function harnessClock() {
  let fixed: number | null = null;
  return {
    now: () => fixed ?? Date.now(),
    set: (wallMs: number) => {
      fixed = wallMs;
    },
  };
}
