import type { Record } from '../../src/gen/vmwarden/v1/record.js';
import type { LifeClient } from './life-client.js';

/** A VM sends this many events and is followed by another, so that its rate is never what holds one up. */
const EVENTS_PER_VM = 25;
/** Reports under way at the same time, and the pace of each: enough that a kill finds some half done. */
const REPORTERS = 3;
const PACE_MS = 4;

interface Acked {
  readonly requestId: string;
  readonly vm: string;
  readonly sequence: bigint;
}

/** Reports events to life after life; what was not acknowledged is reported again, under the same key. */
export class KillReporter {
  readonly acked: Acked[] = [];
  #client: LifeClient | null = null;
  #next: () => void = () => undefined;
  #changed = new Promise<void>((resolve) => {
    this.#next = resolve;
  });
  #count = 0;
  #over = false;
  readonly #running = Array.from({ length: REPORTERS }, (_, who) => this.#report(who));

  /** The life to report to; null: none at the moment. */
  to(client: LifeClient | null): void {
    this.#client = client;
    const wake = this.#next;
    this.#changed = new Promise((resolve) => {
      this.#next = resolve;
    });
    wake();
  }

  /** Ends when what is under way has been acknowledged, so a life has to be there. */
  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#running);
  }

  /** What is wrong with the journal as far as the acknowledged events go; empty: nothing. */
  complaints(records: readonly Record[]): readonly string[] {
    const stored = new Map<string, number>();
    const complaints: string[] = [];
    for (const [at, { body }] of records.entries()) {
      if (body?.$case !== 'event' || body.value.key?.key?.$case !== 'requestId') continue;
      const requestId = body.value.key.key.value;
      if (stored.has(requestId)) complaints.push(`${requestId} is in the journal twice`);
      stored.set(requestId, at + 1);
    }
    for (const { requestId, sequence, vm } of this.acked) {
      const at = stored.get(requestId);
      if (at === undefined) complaints.push(`${requestId} was acknowledged and is lost`);
      else if (BigInt(at) !== sequence) complaints.push(`${requestId} is ${at}, not ${sequence}`);
      else if (records[at - 1]?.vmId !== vm) complaints.push(`${requestId} is of another VM`);
    }
    return complaints;
  }

  async #report(who: number): Promise<void> {
    while (!this.#over) {
      const n = this.#count++;
      const vm = `told-${who}-${Math.floor(n / EVENTS_PER_VM)}`;
      const requestId = `request-${n}`;
      const { sequence } = await this.#acknowledged(vm, requestId, BigInt(n));
      this.acked.push({ requestId, vm, sequence });
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
  }

  async #acknowledged(vm: string, requestId: string, word: bigint) {
    for (;;) {
      const client = this.#client;
      const changed = this.#changed;
      if (client !== null) {
        try {
          return await client.report(vm, requestId, word);
        } catch {
          // Killed before it could say that the event is durable, which it may or may not be.
        }
      }
      if (client === this.#client) await changed;
    }
  }
}
