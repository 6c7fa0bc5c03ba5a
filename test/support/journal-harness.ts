import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Journal, Sequence } from '../../src/journal/journal.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import type { WriterFaults } from '../../src/journal/lmdb/writer.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';

/** A journal under test, with the strings to pull on it. */
export interface JournalHarness {
  readonly journal: Journal;
  /** Commits whose first sequence this is fail; 0: none. */
  failAt(first: Sequence): void;
  /** What the journal takes for the time; default: the real one. */
  setTime(wallMs: number): void;
  /** Closes it and opens it again; absent where nothing outlives closing. */
  reopen?(): Promise<JournalHarness>;
  /** Closes and removes it. */
  dispose(): Promise<void>;
}

export interface LmdbHarness extends JournalHarness {
  readonly dir: string;
  /** The writer throws what nobody expects at its next transaction. */
  killWriter(): void;
  /** Commits wait, as for a disk that hangs, until what it returns is called. */
  stall(): () => void;
  reopen(): Promise<LmdbHarness>;
}

export async function memoryHarness(): Promise<JournalHarness> {
  const clock = harnessClock();
  const journal = new MemoryJournal({ now: clock.now });
  return {
    journal,
    failAt: (first) => journal.failAt(first),
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
  const faults: WriterFaults = { failAt: 0, die: false, stall: null };
  const journal = await openLmdbJournal({
    dir,
    reserveBytes,
    pid: process.pid,
    now: clock.now,
    sweepEveryMs: 20,
    faults,
  });
  return {
    journal,
    dir,
    failAt: (first) => {
      faults.failAt = first;
    },
    killWriter: () => {
      faults.die = true;
    },
    stall: () => {
      let resume = (): void => undefined;
      faults.stall = new Promise((resolve) => {
        resume = () => {
          faults.stall = null;
          resolve();
        };
      });
      return resume;
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
