import { backoffMs } from '../lib/backoff.js';

/** Sightings kept for one VM while the journal refuses them; what comes on top is counted as lost. */
const KEPT = 1_000;
const RETRY_BASE_MS = 100;
const RETRY_MAX_MS = 5_000;

/**
 * Takes one VM's sightings to the journal in their order. On a good day each is handled at once, many under way
 * together; when the journal refuses one, it and all behind it wait and are tried again, so that none is lost while
 * the disk is full.
 */
export class Intake<Item> {
  readonly #handle: (item: Item) => Promise<unknown>;
  readonly #onTrouble: (error: unknown) => void;
  readonly #onRecovered: (lost: number) => void;
  #waiting: { order: number; item: Item }[] = [];
  #order = 0;
  #lost = 0;
  #tries = 0;
  #draining = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(ports: {
    readonly handle: (item: Item) => Promise<unknown>;
    readonly onTrouble: (error: unknown) => void;
    /** The journal has taken all that waited; `lost` had to be dropped meanwhile. */
    readonly onRecovered: (lost: number) => void;
  }) {
    this.#handle = ports.handle;
    this.#onTrouble = ports.onTrouble;
    this.#onRecovered = ports.onRecovered;
  }

  push(item: Item): void {
    const entry = { order: this.#order++, item };
    if (this.#waiting.length > 0 || this.#draining) {
      this.#keep(entry);
      return;
    }
    this.#handle(item).catch((error: unknown) => this.#refused(entry, error));
  }

  /** Nothing waits. What was handed on may be under way. */
  get idle(): boolean {
    return this.#waiting.length === 0 && !this.#draining;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #refused(entry: { order: number; item: Item }, error: unknown): void {
    if (this.#closed) return;
    this.#onTrouble(error);
    this.#keep(entry);
    this.#waiting.sort((a, b) => a.order - b.order);
    this.#arm();
  }

  #keep(entry: { order: number; item: Item }): void {
    this.#waiting.push(entry);
    // The newest say how the guest is now; the oldest go.
    if (this.#waiting.length > KEPT) {
      this.#waiting.shift();
      this.#lost += 1;
    }
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#draining || this.#closed) return;
    this.#tries += 1;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        void this.#drain();
      },
      backoffMs(this.#tries, RETRY_BASE_MS, RETRY_MAX_MS),
    );
  }

  /** The first is tried alone; when it is taken, all that wait go on together, in order, as they would have come. */
  async #drain(): Promise<void> {
    this.#draining = true;
    const first = this.#waiting[0];
    try {
      if (first !== undefined) await this.#handle(first.item);
    } catch (error) {
      this.#onTrouble(error);
      this.#draining = false;
      this.#arm();
      return;
    }
    this.#draining = false;
    this.#tries = 0;
    const rest = this.#waiting.filter((entry) => entry !== first);
    this.#waiting = [];
    const lost = this.#lost;
    this.#lost = 0;
    this.#onRecovered(lost);
    for (const entry of rest) {
      this.#handle(entry.item).catch((error: unknown) => this.#refused(entry, error));
    }
  }
}
