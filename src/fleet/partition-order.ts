import { HostProgress, type Mark, type Marker, type Missing } from './host-progress.js';

/** An entry of the stream, as far as its order matters. */
export interface Arrival<T> {
  readonly entryId: string;
  readonly host: string;
  readonly journalId: string;
  readonly sequence: number;
  /** null: a record like any other. */
  readonly marker: Marker | null;
  readonly payload: T;
  /** false: nobody is to be handed it; it only counts. */
  readonly wanted: boolean;
  /** false: nor is anybody to be told of gaps before it, since its host is of no interest. Default true. */
  readonly gapsWanted?: boolean;
  /** How often it was handed out, this time included. */
  readonly attempt: number;
  /** One at a time, because it was handed out more than once and whoever had it went away. */
  readonly careful: boolean;
}

type SlotState =
  | { readonly at: 'waiting'; readonly notBeforeMs: number }
  | { readonly at: 'handed' }
  | { readonly at: 'settled' };

/** A place in the order of one partition, from an entry's arrival until it and all before it are settled. */
export interface Slot<T> {
  readonly arrival: Arrival<T>;
  readonly attempt: number;
  /** One at a time, and its attempt is to be written down before it is handed out. */
  readonly careful: boolean;
  readonly state: SlotState;
}

interface OwnSlot<T> extends Slot<T> {
  attempt: number;
  careful: boolean;
  state: SlotState;
  /** Still to be told before it. */
  gaps: Missing[];
  /** Entries that say the same: a failover has them published again. */
  readonly entryIds: string[];
}

export type Handing<T> =
  | { readonly kind: 'entry'; readonly slot: Slot<T> }
  | { readonly kind: 'gap'; readonly slot: Slot<T>; readonly gap: Missing };

/** What has to be made durable, in one step. */
export interface Settlement {
  readonly entryIds: readonly string[];
  readonly marks: readonly {
    readonly host: string;
    readonly journalId: string;
    readonly mark: Mark;
  }[];
}

/**
 * The order of one partition for one group: what has arrived, what is handed out, what is settled. Pure.
 *
 * - Of each host, entries are handed out in the order of its journals, each once, until they are settled
 *   or given back; one that was given back is handed out before anything behind it that was not yet.
 * - An entry whose record is settled, or held already under another entry id, is never handed out.
 * - A gap is handed out right before what follows it, and again if that is handed out again.
 */
export class PartitionOrder<T> {
  readonly #hosts = new Map<string, HostProgress>();
  #slots: OwnSlot<T>[] = [];
  #settledIds: string[] = [];
  readonly #touched = new Set<string>();

  /** Entries that arrived and are not settled, or wait behind one that is not. */
  get held(): number {
    return this.#slots.length;
  }

  /** Entries that are handed out. */
  get out(): number {
    return this.#slots.filter(({ state }) => state.at === 'handed').length;
  }

  /** `takeSettlement` has something. */
  get isDirty(): boolean {
    return this.#settledIds.length > 0 || this.#touched.size > 0;
  }

  merge(host: string, journalId: string, mark: Mark): void {
    this.#progressOf(host).merge(journalId, mark);
  }

  holdsEntry(entryId: string): boolean {
    return this.#slots.some(({ entryIds }) => entryIds.includes(entryId));
  }

  admit(arrival: Arrival<T>): 'repeat' | 'held' | 'next' {
    const { host, journalId, sequence, entryId } = arrival;
    const progress = this.#progressOf(host);
    const twin = this.#slots.find((slot) => isSame(slot.arrival, arrival));
    if (twin !== undefined) {
      if (twin.entryIds.includes(entryId)) return 'held';
      twin.entryIds.push(entryId);
      if (twin.state.at === 'settled') this.#settledIds.push(entryId);
      return 'held';
    }
    if (progress.isSettled(journalId, sequence)) {
      progress.passBy(journalId, sequence);
      this.#settledIds.push(entryId);
      return 'repeat';
    }
    const gaps = progress.pass(journalId, sequence, arrival.marker);
    const slot: OwnSlot<T> = {
      arrival,
      attempt: arrival.attempt,
      careful: arrival.careful,
      state: { at: 'waiting', notBeforeMs: 0 },
      gaps: arrival.gapsWanted === false ? [] : gaps,
      entryIds: [entryId],
    };
    this.#slots.push(slot);
    if (!arrival.wanted && slot.gaps.length === 0) this.#settle(slot);
    return 'next';
  }

  /** The next to hand out; null: nothing until something arrives, settles or its time comes. */
  take(nowMs: number): Handing<T> | null {
    const blocked = new Set<string>();
    let carefulOut = this.#slots.some((slot) => slot.careful && slot.state.at === 'handed');
    for (const slot of [...this.#slots]) {
      const { host } = slot.arrival;
      if (slot.state.at !== 'waiting' || blocked.has(host)) continue;
      const gap = slot.gaps.shift();
      if (gap !== undefined) return { kind: 'gap', slot, gap };
      if (!slot.arrival.wanted) {
        this.#settle(slot);
        continue;
      }
      if (slot.state.notBeforeMs > nowMs || (slot.careful && carefulOut)) {
        blocked.add(host);
        continue;
      }
      slot.state = { at: 'handed' };
      carefulOut ||= slot.careful;
      return { kind: 'entry', slot };
    }
    return null;
  }

  /** When `take` may have something again only because time passed; null: it won't. */
  wakeAtMs(): number | null {
    let soonest: number | null = null;
    for (const { state } of this.#slots) {
      if (state.at !== 'waiting' || state.notBeforeMs === 0) continue;
      soonest = Math.min(soonest ?? state.notBeforeMs, state.notBeforeMs);
    }
    return soonest;
  }

  /** It was handled, or parked. False: it had been before. */
  settle(slot: Slot<T>): boolean {
    const own = this.#slots.find((candidate) => candidate === slot);
    if (own === undefined || own.state.at === 'settled') return false;
    this.#settle(own);
    return true;
  }

  /** It is to be handed out again, not before this time, as this attempt. False: it was not out. */
  giveBack(slot: Slot<T>, notBeforeMs: number, attempt: number): boolean {
    const own = this.#slots.find((candidate) => candidate === slot);
    if (own === undefined || own.state.at !== 'handed') return false;
    own.state = { at: 'waiting', notBeforeMs };
    own.attempt = attempt;
    own.careful = true;
    return true;
  }

  /** A poison entry that can't be placed was parked. */
  drop(entryId: string): void {
    this.#settledIds.push(entryId);
  }

  /**
   * What was settled since the last call; null: nothing. What is returned and does not reach Redis
   * is made up for by `allMarks` and by reading the group's pending entries again.
   */
  takeSettlement(): Settlement | null {
    const marks: { host: string; journalId: string; mark: Mark }[] = [];
    for (const host of this.#touched) marks.push(...this.#settleHost(host));
    this.#touched.clear();
    const entryIds = this.#settledIds;
    this.#settledIds = [];
    return entryIds.length === 0 && marks.length === 0 ? null : { entryIds, marks };
  }

  /** Everything this partition knows to be settled, for a Redis that may have forgotten it. */
  allMarks(): Settlement['marks'] {
    return [...this.#hosts].flatMap(([host, progress]) =>
      [...progress.marks()].map(([journalId, mark]) => ({ host, journalId, mark })),
    );
  }

  #progressOf(host: string): HostProgress {
    let progress = this.#hosts.get(host);
    if (progress === undefined) {
      progress = new HostProgress();
      this.#hosts.set(host, progress);
    }
    return progress;
  }

  #settle(slot: OwnSlot<T>): void {
    slot.state = { at: 'settled' };
    this.#settledIds.push(...slot.entryIds);
    this.#touched.add(slot.arrival.host);
  }

  /** Slots of the host from its first on, as long as they are settled, become one mark; later ones stay ahead. */
  #settleHost(host: string): { host: string; journalId: string; mark: Mark }[] {
    const through = new Map<string, number>();
    const ahead = new Map<string, number[]>();
    const done = new Set<OwnSlot<T>>();
    let contiguous = true;
    for (const slot of this.#slots) {
      if (slot.arrival.host !== host) continue;
      const { journalId, sequence } = slot.arrival;
      if (slot.state.at !== 'settled') {
        contiguous = false;
      } else if (contiguous) {
        through.set(journalId, Math.max(through.get(journalId) ?? 0, sequence));
        done.add(slot);
      } else {
        ahead.set(journalId, [...(ahead.get(journalId) ?? []), sequence]);
      }
    }
    if (done.size > 0) this.#slots = this.#slots.filter((slot) => !done.has(slot));
    const progress = this.#progressOf(host);
    return [...new Set([...through.keys(), ...ahead.keys()])].flatMap((journalId) => {
      const mark = progress.settle(journalId, through.get(journalId), ahead.get(journalId) ?? []);
      return mark === null ? [] : [{ host, journalId, mark }];
    });
  }
}

const isSame = <T>(a: Arrival<T>, b: Arrival<T>): boolean =>
  a.host === b.host && a.journalId === b.journalId && a.sequence === b.sequence;
