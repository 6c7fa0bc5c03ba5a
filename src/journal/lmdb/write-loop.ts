import { setImmediate } from 'node:timers/promises';
import type { Sequence } from '../journal.js';
import { pagesForCommit } from './headroom.js';
import type { PreparedCommit } from './prepare.js';
import type { Outcome, Writer } from './writer.js';

export interface WriteLoopOptions {
  readonly writer: Writer;
  /** What became of the oldest commits handed over; after a fault the others are forgotten here. */
  readonly onOutcome: (outcome: Outcome) => void;
  /** The space of all records up to there can be used again. */
  readonly onFreed: (through: Sequence) => void;
  /** Called once, at the latest before `end` resolves: nothing will be written any more. */
  readonly onBroken: (error: unknown) => void;
}

/** One transaction takes no more than this at once, so that its latency and memory have a bound. */
const GROUP_PAGES = 4096;
/** Under steady load the space of dropped records is freed in a bite after every so many transactions. */
const BITE_EVERY = 8;

/**
 * Lets one transaction at a time at the writer. While one waits for the disk commits gather here; the next takes them
 * all. What can wait is done when there are none.
 */
export class WriteLoop {
  readonly #options: WriteLoopOptions;
  #handed: PreparedCommit[] = [];
  #busy = false;
  #running: Promise<void> = Promise.resolve();
  #transactions = 0;
  #sweepBefore = 0;
  #sweepDue = false;
  /** A part of the upkeep failed: it is tried again after the next commit or sweep. */
  #resting = false;
  #over = false;

  constructor(options: WriteLoopOptions) {
    this.#options = options;
    this.#wake();
  }

  hand(commits: readonly PreparedCommit[]): void {
    for (const commit of commits) this.#handed.push(commit);
    this.#wake();
  }

  /** Rows that expired before then are to be swept away. */
  sweep(nowMs: number): void {
    this.#sweepBefore = nowMs;
    this.#sweepDue = true;
    this.#resting = false;
    this.#wake();
  }

  /** Resolves when no transaction is under way and none will be. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#running;
  }

  #wake(): void {
    if (this.#over || this.#busy) return;
    this.#busy = true;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#over) {
        if (this.#handed.length > 0) await this.#commit();
        else if (!(await this.#idle()) && this.#handed.length === 0) return;
      }
    } catch (error) {
      this.#over = true;
      this.#handed = [];
      this.#options.onBroken(error);
    } finally {
      this.#busy = false;
    }
  }

  async #commit(): Promise<void> {
    const { writer, onOutcome } = this.#options;
    const group = this.#handed.splice(0, sizeOfGroup(this.#handed));
    const outcome = await writer.apply(group);
    if (outcome.fault) this.#handed = [];
    this.#resting = false;
    onOutcome(outcome);
    this.#transactions += 1;
    if (writer.hasDropped && this.#transactions % BITE_EVERY === 0) await this.#upkeep();
  }

  /** False when there is nothing left to do. */
  async #idle(): Promise<boolean> {
    if (!this.#isUpkeepDue()) return false;
    // Whoever waited for the last commit goes first: a guest may wait for it.
    await setImmediate();
    return this.#handed.length > 0 || (await this.#upkeep());
  }

  #isUpkeepDue(): boolean {
    const { writer } = this.#options;
    return !this.#resting && (writer.mayLackSpace || writer.hasDropped || this.#sweepDue);
  }

  /** A little of what can wait; false when it was all, or could not be done. */
  async #upkeep(): Promise<boolean> {
    const { writer, onFreed } = this.#options;
    try {
      if (writer.mayLackSpace) await writer.topUp();
      if (writer.hasDropped) {
        const through = await writer.freeDropped();
        if (!writer.hasDropped) onFreed(through);
      } else if (this.#sweepDue) {
        this.#sweepDue = await writer.sweepExpired(this.#sweepBefore);
      }
      return writer.hasDropped || this.#sweepDue;
    } catch {
      this.#resting = true;
      return false;
    }
  }
}

function sizeOfGroup(commits: readonly PreparedCommit[]): number {
  let pages = 0;
  for (const [count, commit] of commits.entries()) {
    pages += pagesForCommit(commit);
    if (pages > GROUP_PAGES && count > 0) return count;
  }
  return commits.length;
}
