import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/logger.js';
import type { Journal, JournalStatus, Sequence } from './journal.js';

/** The `journal` part of the configuration fits. */
export interface RetentionLimits {
  readonly maxAgeMs: number;
  /** Pages in use above this: the oldest records that nothing needs are dropped. */
  readonly maxBytes: number;
  /** Above this records are dropped though something needs them, with a loss marker. */
  readonly hardMaxBytes: number;
}

export interface TrimPlan {
  readonly through: Sequence;
  /** Something still needs what is dropped. */
  readonly loss: boolean;
  readonly why: 'age' | 'size' | 'hardLimit';
}

export interface RetentionState {
  readonly status: JournalStatus;
  readonly limits: RetentionLimits;
  /** The lowest sequence that something still needs: it and all behind it stay. */
  readonly floor: Sequence;
  /** The last record older than `maxAgeMs`. */
  readonly aged: Sequence;
}

/** How far below a limit trimming goes, so that it isn't due again at once. */
const SLACK = 0.95;

/**
 * What to drop now; null: nothing. Age and size never reach `floor`; above `hardMaxBytes`, once nothing
 * else is left to drop, a plan with `loss` goes past it.
 */
export function planTrim({ status, limits, floor, aged }: RetentionState): TrimPlan | null {
  const { oldest, newest, usedBytes } = status;
  if (newest === 0 || oldest > newest) return null;

  const bySize = usedBytes > limits.maxBytes ? oldestOver(status, limits.maxBytes) : 0;
  const through = Math.min(Math.max(aged, bySize), floor - 1, newest);
  if (through >= oldest) return { through, loss: false, why: bySize > aged ? 'size' : 'age' };

  // A lone record is the marker of the last loss: dropping it would only write the next one.
  if (usedBytes <= limits.hardMaxBytes || oldest === newest) return null;
  return {
    through: Math.min(oldestOver(status, limits.hardMaxBytes), newest),
    loss: true,
    why: 'hardLimit',
  };
}

/** The last of the oldest records to drop so that the rest fits, taking all records as equally large. */
function oldestOver(status: JournalStatus, limit: number): Sequence {
  const count = status.newest - status.oldest + 1;
  const share = 1 - (limit * SLACK) / status.usedBytes;
  return status.oldest - 1 + Math.max(1, Math.ceil(count * share));
}

export interface RetentionOptions {
  readonly journal: Journal;
  readonly limits: RetentionLimits;
  /** As `RetentionState.floor`; `Infinity` when nothing needs anything. */
  readonly floor: () => Sequence;
  /** The loss marker's bytes for the dropped records `first` to `last`. */
  readonly lossMarker: (first: Sequence, last: Sequence) => Uint8Array;
  readonly clock: Clock;
  readonly log?: Pick<Logger, 'info' | 'warn'>;
  /** Default 60 s. */
  readonly everyMs?: number;
}

export interface Retention {
  /** One round now; rounds never overlap, and a failed one is only logged. */
  run(): Promise<void>;
  /** No round starts any more; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

const DEFAULT_EVERY_MS = 60_000;
/** Sizes are estimates, so a round may take several steps; this bounds them. */
const MAX_STEPS = 8;

export function startRetention(options: RetentionOptions): Retention {
  let stopped = false;
  let underWay: Promise<void> | null = null;

  const run = (): Promise<void> => {
    if (stopped) return underWay ?? Promise.resolve();
    underWay ??= round(options, () => stopped).finally(() => {
      underWay = null;
    });
    return underWay;
  };
  const timer = setInterval(() => void run(), options.everyMs ?? DEFAULT_EVERY_MS);
  timer.unref();

  return {
    run,
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      await underWay;
    },
  };
}

async function round(options: RetentionOptions, stopped: () => boolean): Promise<void> {
  const { journal, limits, lossMarker, clock, log } = options;
  try {
    for (let step = 0; step < MAX_STEPS && !stopped(); step++) {
      const status = journal.status();
      const aged = journal.newestBefore(clock.now().wallMs - limits.maxAgeMs);
      const plan = planTrim({ status, limits, floor: options.floor(), aged });
      if (!plan) return;
      await journal.trim(plan.through, plan.loss ? lossMarker : undefined);
      const fields = { first: status.oldest, last: plan.through, why: plan.why };
      if (plan.loss)
        log?.warn(fields, 'dropped records that were still needed: hard limit reached');
      else log?.info(fields, 'dropped old records');
    }
  } catch (error) {
    log?.warn({ err: error }, 'dropping old records failed; tried again later');
  }
}
