import type { Clock } from '../lib/clock.js';
import { Fault } from '../lib/fault.js';
import type { Arrival } from './admit.js';
import type { Receipt } from './engine.js';
import type { Fold } from './records.js';
import { TokenBucket } from './token-bucket.js';

/** A VM's own events in the journal: this many a second on the long run, this many at once. */
export const EVENTS_PER_SECOND = 10;
export const EVENTS_AT_ONCE = 50;
/** Kinds of events that one VM may have folding at the same time. */
const FOLDS_PER_VM = 64;
/** Reports folded into one record whose keys are kept; later ones with a key are not known again. */
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

/**
 * Keeps a VM from filling the journal: above its rate, equal events (type, origin, initiator, boot) wait for the next
 * free place and become one record with a count, first and last time. All of them are acknowledged with it.
 */
export class Folder {
  readonly #clock: Clock;
  readonly #admit: (bundle: Bundle) => Promise<Receipt>;
  readonly #vms = new Map<
    string,
    { bucket: TokenBucket; pending: Map<string, Pending>; timer?: NodeJS.Timeout }
  >();

  constructor(clock: Clock, admit: (bundle: Bundle) => Promise<Receipt>) {
    this.#clock = clock;
    this.#admit = admit;
  }

  offer(arrival: Arrival): Promise<Receipt> {
    const vm = arrival.report.vm;
    const now = this.#clock.now();
    let state = this.#vms.get(vm);
    if (state === undefined) {
      const bucket = new TokenBucket(EVENTS_PER_SECOND, EVENTS_AT_ONCE, now.monoMs);
      state = { bucket, pending: new Map() };
      this.#vms.set(vm, state);
    }
    if (state.pending.size === 0 && state.bucket.take(now.monoMs)) {
      return this.#admit({ arrival, fold: null, keyed: [arrival] });
    }
    const kind = kindOf(arrival);
    const equal = state.pending.get(kind);
    if (equal !== undefined) {
      equal.latest = arrival;
      equal.count += 1;
      if (equal.keyed.length < KEYS_PER_FOLD) equal.keyed.push(arrival);
      return equal.done;
    }
    if (state.pending.size >= FOLDS_PER_VM) {
      return Promise.reject(
        new Fault(
          'RESOURCE_EXHAUSTED',
          'TOO_MANY_EVENTS',
          `VM ${vm} sends too many kinds of events`,
          {
            retryAfterMs: 1000,
          },
        ),
      );
    }
    let settle: (receipt: Promise<Receipt>) => void = () => undefined;
    const done = new Promise<Receipt>((resolve) => {
      settle = resolve;
    });
    state.pending.set(kind, {
      latest: arrival,
      keyed: [arrival],
      count: 1,
      firstAtMs: now.wallMs,
      done,
      settle,
    });
    this.#arm(vm);
    return done;
  }

  /** Admits all that waits, at once. */
  flush(): void {
    for (const [vm, state] of this.#vms) {
      clearTimeout(state.timer);
      for (const kind of [...state.pending.keys()]) this.#release(vm, kind);
    }
  }

  #arm(vm: string): void {
    const state = this.#vms.get(vm);
    if (state === undefined || state.timer !== undefined) return;
    state.timer = setTimeout(
      () => {
        delete state.timer;
        for (const kind of [...state.pending.keys()]) {
          if (!state.bucket.take(this.#clock.now().monoMs)) break;
          this.#release(vm, kind);
        }
        if (state.pending.size > 0) this.#arm(vm);
      },
      Math.max(1, state.bucket.waitMs(this.#clock.now().monoMs)),
    );
  }

  #release(vm: string, kind: string): void {
    const state = this.#vms.get(vm);
    const pending = state?.pending.get(kind);
    if (state === undefined || pending === undefined) return;
    state.pending.delete(kind);
    const { latest, keyed, count, firstAtMs, settle } = pending;
    settle(this.#admit({ arrival: latest, fold: count > 1 ? { count, firstAtMs } : null, keyed }));
  }
}

const kindOf = ({ report }: Arrival): string =>
  `${report.event.type} ${report.origin} ${report.initiator} ${report.bootId ?? ''}`;
