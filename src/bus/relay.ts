import type { Journal, Sequence } from '../journal/journal.js';
import { backoffMs } from '../lib/backoff.js';
import { Bell } from '../lib/bell.js';
import { Fault, isFault } from '../lib/fault.js';
import type { Logger } from '../lib/logger.js';
import { withDeadline } from '../lib/with-deadline.js';
import type { Beat, Bus } from './bus.js';
import { Pace, type PaceLimits } from './pace.js';
import { PublishedMarks } from './published-marks.js';
import { sayAtRisk } from './reader-at-risk.js';
import { RelaySession, type SessionLimits } from './relay-session.js';
import type { RelayStatus } from './relay-status.js';

export type RelayJournal = Pick<
  Journal,
  'id' | 'read' | 'status' | 'onDurable' | 'append' | 'lookup'
>;

export interface RelayOptions {
  readonly journal: RelayJournal;
  readonly bus: Bus;
  /** A record over `first` to `last`, which the journal dropped before the bus had them. */
  readonly lossMarker: (first: Sequence, last: Sequence) => Uint8Array;
  /** The record that a stop ends the journal with, so that whoever reads it sees that the host went on purpose. */
  readonly closedRecord?: () => Uint8Array;
  /** Milliseconds since the epoch. */
  readonly wallMs: () => number;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Called when `state` or its fault changes. Must not throw. */
  readonly onStatus?: (status: RelayStatus) => void;
  readonly limits?: Partial<RelayLimits>;
}

export interface RelayLimits extends SessionLimits, PaceLimits {
  /** Published records stay in the journal for so long, to be sent again after a failover. Default 24 h. */
  readonly keepMs: number;
  /** Before the first retry; doubled for each further one, see `backoffMs`. Default 500 ms to 15 s. */
  readonly retryBaseMs: number;
  readonly retryMaxMs: number;
}

/**
 * The journal's cursor that feeds the fleet bus, from the start of the program to its end. It never slows ingest: a
 * bus that is gone makes it lag, and retention keeps what it has not published.
 *
 * Faults in `status`: those of the bus, and BUS_AHEAD (FAILED_PRECONDITION: the bus has more of this journal than the
 * journal itself; it was restored from a copy).
 */
export interface Relay {
  status(): RelayStatus;
  /** The lowest sequence that the bus needs or may need again; all is needed while that is not known. */
  floor(): Sequence;
  /**
   * Journals that the host closes, publishes all that is durable for at most `drainMs`, says that the host left, and
   * closes the bus. What is not published by then follows after the next start. Idempotent.
   */
  stop(drainMs: number): Promise<void>;
}

const DEFAULTS: RelayLimits = {
  batchRecords: 512,
  batchBytes: 512 * 1024,
  batchesInFlight: 4,
  beatMs: 15_000,
  keepMs: 86_400_000,
  retryBaseMs: 500,
  retryMaxMs: 15_000,
};

/** The last batch, and leaving: so long beyond the drain at most, each. */
const LEAVE_MS = 1_000;

export const startRelay = (options: RelayOptions): Relay => {
  const { journal, bus, log } = options;
  const limits: RelayLimits = { ...DEFAULTS, ...options.limits };
  const bell = new Bell();
  const pace = new Pace(limits);
  const marks = new PublishedMarks(journal, limits.keepMs);
  let state: RelayStatus['state'] = 'connecting';
  let fault: Fault | null = null;
  let looked: Omit<Beat, 'published'> = { warnings: [], readersAtRisk: [] };
  let published: Sequence | null = null;
  let { newest } = journal.status();
  /** `drain`: go on until all is published; `end`: not a step further. */
  let ask: 'run' | 'drain' | 'end' = 'run';
  let stopping: Promise<void> | null = null;

  const status = (): RelayStatus => ({
    state,
    fault,
    warnings: [...looked.warnings, ...looked.readersAtRisk.map(sayAtRisk)],
    readersAtRisk: looked.readersAtRisk,
    published,
    lag: Math.max(0, newest - (published ?? 0)),
  });
  const become = (next: RelayStatus['state'], why: Fault | null): void => {
    const same = state === next && fault?.message === why?.message;
    state = next;
    fault = why;
    if (!same) options.onStatus?.(status());
  };

  const session = async (): Promise<boolean> => {
    let progress = false;
    const current = new RelaySession({
      ...options,
      limits,
      pace,
      bell,
      newest: () => newest,
      ask: () => ask,
      onPublished: (sequence) => {
        published = sequence;
      },
      onProgress: () => {
        progress = true;
        marks.note(options.wallMs(), published ?? 0);
        become('relaying', null);
      },
      onWarnings: (beat) => {
        const same = wordsOf(beat) === wordsOf(looked);
        const known = status().warnings;
        looked = beat;
        if (!same) {
          for (const warning of status().warnings) {
            if (!known.includes(warning)) log.warn({}, warning);
          }
          options.onStatus?.(status());
        }
      },
    });
    try {
      await current.run();
    } catch (error) {
      const why = asFault(error);
      if (why.reason !== 'BUS_GAP') {
        if (fault?.message !== why.message) log.warn({ fault: why.message }, 'the fleet bus waits');
        become('waiting', why);
      }
      bus.close();
    }
    return progress;
  };

  const run = async (): Promise<void> => {
    let attempt = 0;
    while (ask === 'run' || (ask === 'drain' && status().lag > 0)) {
      const last = ask === 'drain';
      const progress = await session();
      if (last && !progress) return;
      attempt = progress ? 1 : attempt + 1;
      if (ask !== 'run') continue;
      await pause(backoffMs(attempt, limits.retryBaseMs, limits.retryMaxMs));
    }
  };
  /** New records ring too; only a stop ends it early. */
  const pause = async (waitMs: number): Promise<void> => {
    const until = performance.now() + waitMs;
    for (let left = waitMs; left > 0 && ask === 'run'; left = until - performance.now()) {
      await bell.wait(left);
    }
  };

  const unlisten = journal.onDurable((sequence) => {
    newest = sequence;
    bell.ring();
  });
  const running = run();

  const appendClosed = async (): Promise<void> => {
    if (options.closedRecord === undefined) return;
    const records = [{ vm: '', bytes: options.closedRecord() }];
    try {
      await journal.append({ kind: 'outcome', records, rows: [] }).durable;
    } catch (error) {
      log.warn({ fault: String(error) }, 'the journal has no record of this stop');
    }
  };
  const stop = async (drainMs: number): Promise<void> => {
    const until = performance.now() + drainMs;
    await withDeadline(drainMs, appendClosed());
    ask = 'drain';
    bell.ring();
    await withDeadline(Math.max(0, until - performance.now()), running);
    ask = 'end';
    bell.ring();
    const ended = await withDeadline(
      LEAVE_MS,
      running.then(() => true),
    );
    // Not by itself: what is under way is rejected.
    if (ended !== true) bus.close();
    await running;
    await withDeadline(LEAVE_MS, bus.leave()).catch(() => undefined);
    bus.close();
    unlisten();
    const { lag } = status();
    if (lag > 0)
      log.info({ lag }, 'stopped before the fleet bus had all; the rest follows after the start');
    become('stopped', null);
  };

  return {
    status,
    floor: () =>
      published === null ? 0 : Math.min(published, marks.settled(options.wallMs())) + 1,
    stop: (drainMs) => {
      stopping ??= stop(drainMs);
      return stopping;
    },
  };
};

/** But for the numbers, which are others at each look: a log that says them each minute says nothing. */
const wordsOf = ({ warnings, readersAtRisk }: Omit<Beat, 'published'>): string =>
  JSON.stringify([warnings, readersAtRisk.map(({ stream, group }) => `${stream} ${group}`)]);

const asFault = (error: unknown): Fault =>
  isFault(error)
    ? error
    : new Fault('INTERNAL', 'BUS_BROKEN', `the relay failed: ${String(error)}`, { cause: error });
