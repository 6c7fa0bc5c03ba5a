/** How much is sent before an answer is waited for. */
export interface PaceLimits {
  /** Of one batch. Default 512 records, 512 KiB; one record at least, however large. */
  readonly batchRecords: number;
  readonly batchBytes: number;
  /** Published and not answered yet; with the size of a batch it bounds the memory. Default 4. */
  readonly batchesInFlight: number;
}

const SLOWEST = 1 / 256;

/**
 * Goes down to what a slow line carries within the time that a command has: what is never answered in time would
 * be sent anew for ever.
 */
export class Pace {
  readonly #limits: PaceLimits;
  #share = 1;

  constructor(limits: PaceLimits) {
    this.#limits = limits;
  }

  get now(): PaceLimits {
    const { batchRecords, batchBytes, batchesInFlight } = this.#limits;
    return {
      batchRecords: Math.max(1, Math.floor(batchRecords * this.#share)),
      batchBytes: Math.max(1, Math.floor(batchBytes * this.#share)),
      batchesInFlight: Math.max(1, Math.floor(batchesInFlight * this.#share)),
    };
  }

  /** A batch was not answered. */
  slower(): void {
    this.#share = Math.max(SLOWEST, this.#share / 4);
  }

  /** A batch was answered. */
  faster(): void {
    this.#share = Math.min(1, this.#share * 1.25);
  }
}
