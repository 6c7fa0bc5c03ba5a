import { type Fault, isFault } from '../lib/fault.js';
import type { Act, GuestState, Outcome } from './driver.js';

/** What a verb is stopped by. */
type Halt = 'aborted' | 'late';

class Halted extends Error {
  constructor(readonly halt: Halt) {
    super(halt);
  }
}

export const applied = (proof: readonly string[], state: GuestState): Outcome => ({
  kind: 'applied',
  proof,
  state,
});

export const already = (proof: readonly string[], state: GuestState): Outcome => ({
  kind: 'already',
  proof,
  state,
});

export const unsupported = (reason: string, message: string): Outcome => ({
  kind: 'unsupported',
  reason,
  message,
  proof: [],
});

export const failed = (
  reason: string,
  message: string,
  proof: readonly string[] = [],
): Outcome => ({ kind: 'failed', reason, message, proof });

export const unverified = (
  reason: string,
  message: string,
  proof: readonly string[] = [],
): Outcome => ({ kind: 'unverified', reason, message, proof });

export const cancelled = (
  reason: string,
  message: string,
  proof: readonly string[] = [],
): Outcome => ({ kind: 'cancelled', reason, message, proof });

/** One verb on its way: its deadline, its abort signal, and what has been proven so far. */
export class Running {
  readonly proof: string[] = [];
  readonly #act: Act;
  readonly #refusal: string;
  readonly #endsAt: number;
  readonly #halted: Promise<never>;
  readonly #release: () => void;
  #written = false;

  /** `refusal`: the reason of a Fault that says that nothing was done, though it was written. */
  constructor(act: Act, refusal: string) {
    this.#act = act;
    this.#refusal = refusal;
    this.#endsAt = performance.now() + act.timeoutMs;
    let onAbort = (): void => undefined;
    let timer: NodeJS.Timeout | undefined;
    this.#halted = new Promise((_resolve, reject) => {
      onAbort = () => reject(new Halted('aborted'));
      timer = setTimeout(() => reject(new Halted('late')), act.timeoutMs);
      if (act.signal.aborted) onAbort();
      else act.signal.addEventListener('abort', onAbort, { once: true });
    });
    this.#halted.catch(() => undefined);
    this.#release = () => {
      clearTimeout(timer);
      act.signal.removeEventListener('abort', onAbort);
    };
  }

  get written(): boolean {
    return this.#written;
  }

  leftMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Waits, but not past the deadline or the abort. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#halted]);
  }

  /** Waits for at most `ms`; null when that was too short. */
  async waitFor<T>(promise: Promise<T>, ms: number): Promise<T | null> {
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), ms);
    });
    try {
      return await this.wait(Promise.race([promise, pause]));
    } finally {
      clearTimeout(timer);
    }
  }

  sleep(ms: number): Promise<unknown> {
    return this.waitFor(new Promise<never>(() => undefined), ms);
  }

  point(name: string): void {
    this.#act.onCommand?.(name);
  }

  /** A command that changes the guest has been written: from here on a failure leaves it open what happened. */
  wrote(...points: readonly string[]): void {
    this.#written = true;
    for (const name of points) this.#act.onCommand?.(`${name}:written`);
  }

  end(): void {
    this.#release();
  }

  /** What an error makes of the verb. */
  outcomeOf(error: unknown): Outcome {
    if (error instanceof Halted) return this.#haltedOutcome(error.halt);
    if (isFault(error)) return this.#faultOutcome(error);
    const message = error instanceof Error ? error.message : String(error);
    return this.#written
      ? unverified('INTERNAL', message, this.proof)
      : failed('INTERNAL', message, this.proof);
  }

  #haltedOutcome(halt: Halt): Outcome {
    const message = halt === 'aborted' ? 'it was called off' : 'its deadline passed';
    const reason = halt === 'aborted' ? 'ABORTED' : 'DEADLINE_EXCEEDED';
    if (this.#written) return unverified(reason, `${message} before it was proven`, this.proof);
    if (halt === 'late')
      return failed(reason, `${message} before the guest was touched`, this.proof);
    return cancelled(reason, message, this.proof);
  }

  #faultOutcome(fault: Fault): Outcome {
    const { reason, message } = fault;
    if (!this.#written) return failed(reason, message, this.proof);
    // Silence and a lost connection leave it open.
    return reason === this.#refusal
      ? failed(reason, message, this.proof)
      : unverified(reason, message, this.proof);
  }
}
