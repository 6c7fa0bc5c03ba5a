import type { Sequence } from '../journal.js';

/** Who waits until the space of dropped records can be used again. */
export class FreedWaits {
  /** All up to here is free. */
  #freed: Sequence = 0;
  #waits: { readonly through: Sequence; readonly resolve: () => void }[] = [];

  until(through: Sequence): Promise<void> {
    if (this.#freed >= through) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waits.push({ through, resolve });
    });
  }

  release(through: Sequence): void {
    this.#freed = through;
    const done = this.#waits.filter((wait) => wait.through <= through);
    this.#waits = this.#waits.filter((wait) => wait.through > through);
    for (const { resolve } of done) resolve();
  }
}
