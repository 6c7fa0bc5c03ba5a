import type { Fault } from '../../lib/fault.js';
import type { QmpEvent } from './messages.js';

/** An event that is waited for. */
export interface Expected {
  /** Rejects when the connection ends. */
  readonly event: Promise<QmpEvent>;
  seen(): boolean;
  forget(): void;
}

type Match = (event: QmpEvent) => boolean;

interface Waiter {
  readonly match: Match;
  readonly resolve: (event: QmpEvent) => void;
  readonly reject: (fault: Fault) => void;
}

/** Who waits for which event of one connection. */
export class EventWaiters {
  readonly #waiters = new Set<Waiter>();

  expect(match: Match): Expected {
    let seen = false;
    let forget = (): void => undefined;
    const event = new Promise<QmpEvent>((resolve, reject) => {
      const waiter: Waiter = {
        match,
        resolve: (found) => {
          seen = true;
          resolve(found);
        },
        reject,
      };
      this.#waiters.add(waiter);
      forget = () => {
        this.#waiters.delete(waiter);
      };
    });
    // Who only asks whether it was seen does not wait for it.
    event.catch(() => undefined);
    return { event, seen: () => seen, forget };
  }

  tell(event: QmpEvent): void {
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) {
      if (!waiter.match(event)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(event);
    }
  }

  end(fault: Fault): void {
    for (const waiter of this.#waiters) waiter.reject(fault);
    this.#waiters.clear();
  }
}
