import type { Clock, Moment } from '../lib/clock.js';
import type { Logger } from '../lib/logger.js';
import type { Journal, JournalStatus, Sequence } from './journal.js';

/** The `journal` part of the configuration fits. */
export interface RetentionLimits {
  readonly maxAgeMs: number;
  /** Records take more than this: the oldest records that nothing needs are dropped. */
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
  /** The last record older than `maxAgeMs`, as `trustedWallMs` has it. */
  readonly aged: Sequence;
}

/** How far below a limit trimming goes, so that it isn't due again at once. */
const SLACK = 0.95;

/**
 * What to drop now; null: nothing. Sizes are those of records: rows have expiries of their own, and to drop
 * records for them would help nobody. Age and size never reach `floor`; above `hardMaxBytes`, once nothing
 * else is left to drop, a plan with `loss` goes past it.
 */
export function planTrim({ status, limits, floor, aged }: RetentionState): TrimPlan | null {
  const { oldest, newest, recordBytes } = status;
  if (newest === 0 || oldest > newest) return null;

  const bySize = recordBytes > limits.maxBytes ? oldestOver(status, limits.maxBytes) : 0;
  const through = Math.min(Math.max(aged, bySize), floor - 1, newest);
  if (through >= oldest) return { through, loss: false, why: bySize > aged ? 'size' : 'age' };

  // A lone record is the marker of the last loss: dropping it would only write the next one.
  if (recordBytes <= limits.hardMaxBytes || oldest === newest) return null;
  return {
    through: Math.min(oldestOver(status, limits.hardMaxBytes), newest),
    loss: true,
    why: 'hardLimit',
  };
}

/** The last of the oldest records to drop so that the rest fits, taking all records as equally large. */
function oldestOver(status: JournalStatus, limit: number): Sequence {
  const count = status.newest - status.oldest + 1;
  const share = 1 - (limit * SLACK) / status.recordBytes;
  return status.oldest - 1 + Math.max(1, Math.ceil(count * share));
}

/** A clock set by hand or by a bad time source jumps by days; a leap second or a slewed clock never adds up to one. */
const JUMP_MS = 24 * 60 * 60 * 1000;
/** After a boot the clock may be anywhere until a time service sets it. */
const GRACE_MS = 60 * 60 * 1000;

/**
 * The wall clock as far as records may be dropped by it; null: not at all yet. Since `started` it can't have gone further
 * than the monotonic clock and a day: what is ahead of that is a jump, and is not followed until a restart.
 */
export function trustedWallMs(started: Moment, now: Moment): number | null {
  const elapsedMs = now.monoMs - started.monoMs;
  if (elapsedMs < GRACE_MS) return null;
  return Math.min(now.wallMs, started.wallMs + elapsedMs + JUMP_MS);
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
  const age = createAge(options);

  const run = (): Promise<void> => {
    if (stopped) return underWay ?? Promise.resolve();
    underWay ??= round(options, age, () => stopped).finally(() => {
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

/** Finds what is too old, and warns once for each jump of the clock. */
function createAge({ journal, limits, clock, log }: RetentionOptions): () => Sequence {
  const started = clock.now();
  let jumped = false;
  return () => {
    const now = clock.now();
    const trusted = trustedWallMs(started, now);
    if (trusted === null) return 0;
    const aged = journal.newestBefore(trusted - limits.maxAgeMs);
    const aheadMs = now.wallMs - trusted;
    if (aheadMs > 0 && !jumped) {
      const kept = journal.newestBefore(now.wallMs - limits.maxAgeMs) - aged;
      log?.warn(
        { aheadMs, kept },
        'the clock jumped ahead; what is old only by it is kept until a restart',
      );
    }
    jumped = aheadMs > 0;
    return aged;
  };
}

async function round(
  options: RetentionOptions,
  age: () => Sequence,
  stopped: () => boolean,
): Promise<void> {
  const { journal, limits, lossMarker, log } = options;
  try {
    for (let step = 0; step < MAX_STEPS && !stopped(); step++) {
      const status = journal.status();
      const plan = planTrim({ status, limits, floor: options.floor(), aged: age() });
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
