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
  /**
   * Those of the host's earlier boots by the wall clock, then those of the present one by the monotonic clock: each part
   * from the oldest on by the clock that tells its ages, wherever the other was set to. With those that a later one of
   * the same VM has replaced.
   */
  readonly #earlier: readonly Death[];
  #present: Death[];

  constructor(rows: Iterable<VmRow>, { hostBootId }: Pick<Moment, 'hostBootId'>) {
    const found = [...rows].flatMap((row) => latestDeath(row, hostBootId));
    for (const death of found) this.#latest.set(death.vm, death);
    const ofPresent = ({ at }: Death): boolean => at.hostBootId === hostBootId;
    this.#present = found.filter(ofPresent).sort((a, b) => a.at.monoMs - b.at.monoMs);
    this.#earlier = found
      .filter((death) => !ofPresent(death))
      .sort((a, b) => a.at.wallMs - b.at.wallMs);
  }

  note(vm: string, at: Moment): void {
    const death = { vm, at };
    this.#latest.set(vm, death);
    this.#present.push(death);
    if (this.#present.length <= 2 * this.#latest.size + MOST) return;
    this.#present = this.#present.filter((one) => this.#latest.get(one.vm) === one);
  }

  /** VMs other than `vm` that died within that time, at most 1,000. */
  countOthers(vm: string, withinMs: number, now: Moment): number {
    let count = 0;
    for (const deaths of [this.#present, this.#earlier]) {
      for (let index = deaths.length - 1; index >= 0 && count < MOST; index -= 1) {
        const death = deaths[index];
        if (death === undefined || ageMs(death.at, now) >= withinMs) break;
        if (death.vm !== vm && this.#latest.get(death.vm) === death) count += 1;
      }
    }
    return count;
  }
}

/** One of the host's present boot is later than any before it, whatever the wall clock said. */
const latestDeath = ({ id, history }: VmRow, hostBootId: string): Death[] => {
  const moments = Object.entries(history).flatMap(([type, stretches]) => {
    // Only what guest or nobody known caused is in a history.
    if (!isDeath(type as EventType, 'guest')) return [];
    const last = stretches.at(-1);
    const monoMs = last?.at.at(-1);
    if (last === undefined || monoMs === undefined) return [];
    return [{ wallMs: monoMs + last.offsetMs, monoMs, hostBootId: last.boot }];
  });
  const present = moments.filter((at) => at.hostBootId === hostBootId);
  const latest =
    present.toSorted((a, b) => b.monoMs - a.monoMs)[0] ??
    moments.toSorted((a, b) => b.wallMs - a.wallMs)[0];
  return latest === undefined ? [] : [{ vm: id, at: latest }];
};
