import type { ClientReadableStream } from '@grpc/grpc-js';
import {
  type EventServiceClient,
  WatchRecordsRequest,
  type WatchRecordsResponse,
} from '../../gen/vmwarden/v1/event_service.js';
import type { Record } from '../../gen/vmwarden/v1/record.js';

/** Follows the journal over gRPC, as any client may, and waits for what it wants to see there. */
export class Follower {
  readonly records: Record[] = [];
  readonly #stream: ClientReadableStream<WatchRecordsResponse>;
  #wake: () => void = () => undefined;
  #error: Error | null = null;

  constructor(client: EventServiceClient) {
    this.#stream = client.watchRecords(WatchRecordsRequest.create());
    this.#stream.on('data', (batch: WatchRecordsResponse) => {
      for (const { record } of batch.records) if (record !== undefined) this.records.push(record);
      this.#wake();
    });
    this.#stream.on('error', (error) => {
      this.#error = error;
      this.#wake();
    });
  }

  /** Resolves with the first record that `wanted` picks, also one of the past. Rejects at the deadline. */
  async until<T>(
    what: string,
    wanted: (record: Record) => T | null,
    timeoutMs: number,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (let looked = 0; ; ) {
      for (; looked < this.records.length; looked += 1) {
        const record = this.records[looked];
        const found = record === undefined ? null : wanted(record);
        if (found !== null) return found;
      }
      if (this.#error !== null) throw this.#error;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#stream.on('error', () => undefined);
    this.#stream.cancel();
  }
}
