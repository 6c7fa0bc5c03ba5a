import type { EventType } from '../event/event-type.js';
import { ageMs, type Moment } from '../lib/clock.js';
import { isDeath } from '../policy/storm.js';
import type { VmRow } from './vm-row.js';

interface Death {
  readonly vm: string;
  readonly at: Moment;
}

/** Counting ends here: a storm is one long before, and a stamp must stay cheap. */
const MOST = 1_000;

/** When each VM last died: what the storm guard counts. Made again from the VMs' rows at start. */
export class Deaths {
  readonly #latest = new Map<string, Death>();
  /** In order, with those that a later one of the same VM has replaced. */
  #inOrder: Death[] = [];

  constructor(rows: Iterable<VmRow>) {
    const found = [...rows].flatMap((row) => latestDeath(row));
    found.sort((a, b) => a.at.wallMs - b.at.wallMs);
    for (const { vm, at } of found) this.note(vm, at);
  }

  note(vm: string, at: Moment): void {
    const death = { vm, at };
    this.#latest.set(vm, death);
    this.#inOrder.push(death);
    if (this.#inOrder.length <= 2 * this.#latest.size + MOST) return;
    this.#inOrder = this.#inOrder.filter((one) => this.#latest.get(one.vm) === one);
  }

  /** VMs other than `vm` that died within that time, at most 1,000. */
  countOthers(vm: string, withinMs: number, now: Moment): number {
    let count = 0;
    for (let index = this.#inOrder.length - 1; index >= 0 && count < MOST; index -= 1) {
      const death = this.#inOrder[index];
      if (death === undefined || ageMs(death.at, now) >= withinMs) break;
      if (death.vm !== vm && this.#latest.get(death.vm) === death) count += 1;
    }
    return count;
  }
}

const latestDeath = ({ id, history }: VmRow): Death[] => {
  const moments = Object.entries(history).flatMap(([type, stretches]) => {
    const last = stretches.at(-1);
    const monoMs = last?.at.at(-1);
    // Only what guest or nobody known caused is in a history.
    if (last === undefined || monoMs === undefined) return [];
    if (!isDeath(type as EventType, 'guest')) return [];
    return [{ wallMs: monoMs + last.offsetMs, monoMs, hostBootId: last.boot }];
  });
  const latest = moments.toSorted((a, b) => b.wallMs - a.wallMs)[0];
  return latest === undefined ? [] : [{ vm: id, at: latest }];
};
