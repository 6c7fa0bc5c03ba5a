/** So often at most, per stop of the guest: one that is not answered by then takes its time (a dump, a wait). */
const MAX_ASKED = 20;

export interface Asking {
  /** Whether there is still something to look ahead to. */
  readonly goesOn: () => boolean;
  /** True when the answer can be used; must not reject. */
  readonly ask: () => Promise<boolean>;
}

/**
 * Asks again and again, so that who comes later finds an answer that was asked for at most `maxAgeMs` before.
 * What the answers say is kept by who asks. With 0 no answer is ever fresh, and nothing is asked.
 */
export class LookAhead {
  readonly #asking: Asking;
  readonly #periodMs: number;
  #over = false;
  #timer: NodeJS.Timeout | null = null;
  /** When the last usable answer was asked for (performance.now()). */
  #freshAtMs = Number.NEGATIVE_INFINITY;
  #pending: Promise<boolean> | null = null;

  constructor(maxAgeMs: number, asking: Asking) {
    this.#asking = asking;
    this.#periodMs = maxAgeMs / 2;
    if (maxAgeMs > 0) void this.#run();
  }

  end(): void {
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Whether there is an answer of at most that age; waits for one that is under way. */
  async isAnswered(maxAgeMs: number): Promise<boolean> {
    const isFresh = (): boolean => performance.now() - this.#freshAtMs <= maxAgeMs;
    if (!isFresh()) await this.#pending;
    return isFresh();
  }

  async #run(): Promise<void> {
    for (let asked = 1; ; asked += 1) {
      const due = this.#due();
      this.#pending = this.#ask();
      // In vain once is in vain: the verb asks for itself, and says why there is no answer.
      if (!(await this.#pending) || this.#over || asked === MAX_ASKED) return;
      await due;
      if (this.#over || !this.#asking.goesOn()) return;
    }
  }

  async #ask(): Promise<boolean> {
    const askedAtMs = performance.now();
    const good = await this.#asking.ask();
    if (good) this.#freshAtMs = askedAtMs;
    return good;
  }

  /** From the asking, not from the answer: so the one before is still fresh while the next is under way. */
  #due(): Promise<void> {
    return new Promise((resolve) => {
      this.#timer = setTimeout(resolve, this.#periodMs);
      this.#timer.unref();
    });
  }
}
