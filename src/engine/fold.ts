import type { Clock } from '../lib/clock.js';
import { Fault } from '../lib/fault.js';
import type { Arrival } from './admit.js';
import type { Receipt } from './engine.js';
import type { Fold } from './records.js';
import { contentDigest } from './report-key.js';
import { TokenBucket } from './token-bucket.js';

/** A VM's own events in the journal: this many a second on the long run, this many at once. */
export const EVENTS_PER_SECOND = 10;
export const EVENTS_AT_ONCE = 50;
/** Kinds of events that one VM may have folding at the same time. */
const FOLDS_PER_VM = 64;
/** Keyed reports folded into one record; more are refused until it is journaled. */
const KEYS_PER_FOLD = 64;

/** What goes on to be admitted: one arrival that stands for `fold.count` equal ones, or for itself (`fold` null). */
export interface Bundle {
  readonly arrival: Arrival;
  readonly fold: Fold | null;
  /** All arrivals whose keys are to be kept. */
  readonly keyed: readonly Arrival[];
}

interface Pending {
  latest: Arrival;
  keyed: Arrival[];
  count: number;
  readonly firstAtMs: number;
  readonly done: Promise<Receipt>;
  readonly settle: (receipt: Promise<Receipt>) => void;
}

/** What a VM's driver tells goes through a lane of its own: no reporter can hold it up. */
export const driverLane = (vm: string): string => `driver/${vm}`;

interface Lane {
  readonly bucket: TokenBucket;
  readonly pending: Map<string, Pending>;
  timer?: NodeJS.Timeout;
}

/**
 * Keeps a VM from filling the journal: above its rate, equal events wait for the next free place and become one
 * record with a count, first and last time. All of them are acknowledged with it. Reports are equal when they say the
 * same; what a driver tells, when type, initiator and boot are the same, for nobody waits to read its words back.
 */
export class Folder {
  readonly #clock: Clock;
  readonly #admit: (bundle: Bundle) => Promise<Receipt>;
  readonly #lanes = new Map<string, Lane>();

  constructor(clock: Clock, admit: (bundle: Bundle) => Promise<Receipt>) {
    this.#clock = clock;
    this.#admit = admit;
  }

  offer(arrival: Arrival): Promise<Receipt> {
    const now = this.#clock.now();
    const { vm } = arrival.report;
    const name = arrival.driver === null ? `report/${vm}` : driverLane(vm);
    const lane = this.#lane(name, now.monoMs);
    if (lane.pending.size === 0 && lane.bucket.take(now.monoMs)) {
      return this.#admit({ arrival, fold: null, keyed: [arrival] });
    }
    const kind = kindOf(arrival);
    const equal = lane.pending.get(kind);
    if (arrival.driver === null) {
      // To acknowledge a report without remembering it would break the promise to know it again.
      const full = equal === undefined ? lane.pending.size >= FOLDS_PER_VM : isFull(equal, arrival);
      if (full) return Promise.reject(tooMany(vm));
    }
    if (equal !== undefined) {
      equal.latest = arrival;
      equal.count += 1;
      if (arrival.report.key !== null) equal.keyed.push(arrival);
      return equal.done;
    }
    let settle: (receipt: Promise<Receipt>) => void = () => undefined;
    const done = new Promise<Receipt>((resolve) => {
      settle = resolve;
    });
    const firstAtMs = now.wallMs;
    lane.pending.set(kind, {
      latest: arrival,
      keyed: [arrival],
      count: 1,
      firstAtMs,
      done,
      settle,
    });
    this.#arm(lane);
    return done;
  }

  /** Admits all that waits, in one lane or in all, at once. */
  flush(name?: string): void {
    for (const [of, lane] of this.#lanes) {
      if (name !== undefined && of !== name) continue;
      clearTimeout(lane.timer);
      delete lane.timer;
      for (const kind of [...lane.pending.keys()]) this.#release(lane, kind);
    }
  }

  #lane(name: string, nowMs: number): Lane {
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      const bucket = new TokenBucket(EVENTS_PER_SECOND, EVENTS_AT_ONCE, nowMs);
      lane = { bucket, pending: new Map() };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  #arm(lane: Lane): void {
    lane.timer ??= setTimeout(
      () => {
        delete lane.timer;
        for (const kind of [...lane.pending.keys()]) {
          if (!lane.bucket.take(this.#clock.now().monoMs)) break;
          this.#release(lane, kind);
        }
        if (lane.pending.size > 0) this.#arm(lane);
      },
      Math.max(1, lane.bucket.waitMs(this.#clock.now().monoMs)),
    );
  }

  #release(lane: Lane, kind: string): void {
    const pending = lane.pending.get(kind);
    if (pending === undefined) return;
    lane.pending.delete(kind);
    const { latest, keyed, count, firstAtMs, settle } = pending;
    settle(this.#admit({ arrival: latest, fold: count > 1 ? { count, firstAtMs } : null, keyed }));
  }
}

const isFull = ({ keyed }: Pending, { report }: Arrival): boolean =>
  report.key !== null && keyed.length >= KEYS_PER_FOLD;

const tooMany = (vm: string): Fault =>
  new Fault('RESOURCE_EXHAUSTED', 'TOO_MANY_EVENTS', `too many events of VM ${vm} are reported`, {
    retryAfterMs: 1000,
  });

const kindOf = ({ report, driver }: Arrival): string => {
  const { event, origin, initiator, bootId } = report;
  const said = driver === null ? contentDigest(event) : '';
  return `${event.type} ${origin} ${initiator} ${bootId ?? ''} ${said}`;
};
