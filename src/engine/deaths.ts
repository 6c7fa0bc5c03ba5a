import type { EventType } from '../event/event-type.js';
import { ageMs, carried, type Moment } from '../lib/clock.js';
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
  /** By the clock of the host's present boot, with those that a later one of the same VM has replaced. */
  #inOrder: Death[];

  constructor(rows: Iterable<VmRow>, now: Moment) {
    this.#inOrder = [...rows]
      .flatMap((row) => latestDeath(row, now))
      .sort((a, b) => a.at.monoMs - b.at.monoMs);
    for (const death of this.#inOrder) this.#latest.set(death.vm, death);
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

/** One of the host's present boot is later than any before it, whatever the wall clock said. */
const latestDeath = ({ id, history }: VmRow, now: Moment): Death[] => {
  const moments = Object.entries(history).flatMap(([type, stretches]) => {
    // Only what guest or nobody known caused is in a history.
    if (!isDeath(type as EventType, 'guest')) return [];
    const last = stretches.at(-1);
    const monoMs = last?.at.at(-1);
    if (last === undefined || monoMs === undefined) return [];
    return [{ wallMs: monoMs + last.offsetMs, monoMs, hostBootId: last.boot }];
  });
  const present = moments.filter((at) => at.hostBootId === now.hostBootId);
  const latest = (present.length === 0 ? moments : present)
    .map((at) => carried(at, now))
    .toSorted((a, b) => b.monoMs - a.monoMs)[0];
  return latest === undefined ? [] : [{ vm: id, at: latest }];
};
