import type { Sequence } from '../../journal/journal.js';

export interface Elapsed {
  readonly seconds: number;
  /** It had to wait for its budget's delay or for contact. */
  readonly delayed: boolean;
}

interface Open {
  readonly incident: string;
  readonly eventMs: number;
  readonly delayed: boolean;
  acted: boolean;
}

/** Events that wait for their decision: few, and each for the incident in front of it. */
const MAX_UNDECIDED = 4096;

/**
 * How long it took from an event to what followed. Moments are milliseconds of one monotonic clock. Keeps one incident
 * for each VM, the latest.
 */
export class IncidentTimes {
  readonly #undecided = new Map<Sequence, number>();
  readonly #latest = new Map<string, Open>();

  /** An event that will have a decision of its own. */
  event(sequence: Sequence, atMs: number): void {
    this.#undecided.set(sequence, atMs);
    if (this.#undecided.size <= MAX_UNDECIDED) return;
    for (const oldest of this.#undecided.keys()) {
      this.#undecided.delete(oldest);
      return;
    }
  }

  /** `incident` empty: the decision opened none. null: the event came in an earlier life. */
  decided(
    vm: string,
    { incident, event, delayed }: { incident: string; event: Sequence; delayed: boolean },
    nowMs: number,
  ): number | null {
    const eventMs = this.#undecided.get(event);
    this.#undecided.delete(event);
    if (eventMs === undefined) return null;
    if (incident !== '') this.#latest.set(vm, { incident, eventMs, delayed, acted: false });
    return seconds(eventMs, nowMs);
  }

  /** At the first act of an incident; null at further ones. */
  acted(vm: string, incident: string, nowMs: number): Elapsed | null {
    const open = this.#latest.get(vm);
    if (open === undefined || open.incident !== incident || open.acted) return null;
    open.acted = true;
    return { seconds: seconds(open.eventMs, nowMs), delayed: open.delayed };
  }

  recovered(vm: string, incident: string, nowMs: number): Elapsed | null {
    const open = this.#latest.get(vm);
    if (open === undefined || open.incident !== incident) return null;
    this.#latest.delete(vm);
    return { seconds: seconds(open.eventMs, nowMs), delayed: open.delayed };
  }
}

const seconds = (fromMs: number, toMs: number): number => Math.max(0, toMs - fromMs) / 1000;
