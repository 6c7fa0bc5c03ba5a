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
    if (this.#waiting.length >= KEPT) this.#lost += 1;
    else this.#waiting.push(entry);
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

  async #drain(): Promise<void> {
    this.#draining = true;
    try {
      for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
        await this.#handle(first.item);
        this.#waiting.shift();
      }
      this.#tries = 0;
      const lost = this.#lost;
      this.#lost = 0;
      this.#onRecovered(lost);
    } catch (error) {
      this.#onTrouble(error);
    } finally {
      this.#draining = false;
      if (this.#waiting.length > 0) this.#arm();
    }
  }
}
