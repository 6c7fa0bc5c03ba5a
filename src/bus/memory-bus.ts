import type { Sequence } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import type { Batch, Beat, Bus, Published } from './bus.js';

export interface MemoryEntry {
  readonly host: string;
  readonly journalId: string;
  readonly sequence: Sequence;
  readonly bytes: Uint8Array;
}

interface Holder {
  readonly instance: symbol;
  readonly journalId: string;
  /** A second one of the same name. */
  rival: symbol | null;
}

/** What several hosts publish into, for tests: the contract in its plainest reading. */
export class MemoryFleet {
  entries: MemoryEntry[] = [];
  readonly published = new Map<string, { journalId: string; sequence: Sequence }>();
  readonly ended = new Map<string, Sequence>();
  readonly holders = new Map<string, Holder>();

  /** As if all of it were thrown away. */
  clear(): void {
    this.entries = [];
    this.published.clear();
    this.ended.clear();
    this.holders.clear();
  }
}

export class MemoryBus implements Bus {
  readonly #fleet: MemoryFleet;
  readonly #host: string;
  readonly #journalId: string;
  readonly #instance = Symbol('instance');
  #open = false;
  #contested = false;
  #onLost: (fault: Error) => void = () => undefined;

  constructor(fleet: MemoryFleet, host: string, journalId: string) {
    this.#fleet = fleet;
    this.#host = host;
    this.#journalId = journalId;
  }

  /** As if the connection were cut. */
  lose(): void {
    this.#open = false;
    this.#onLost(closed());
  }

  async open(): Promise<Published | null> {
    this.#open = true;
    this.#hold(this.#contested ? 'beat' : 'take');
    this.#contested = false;
    return this.#published();
  }

  async publish({ from, records, replaces }: Batch): Promise<Sequence> {
    if (!this.#open) throw closed();
    const holder = this.#fleet.holders.get(this.#host);
    if (holder !== undefined && holder.instance !== this.#instance) this.#contested = true;
    if (holder?.instance !== this.#instance || holder.rival !== null) throw gap();
    const published = this.#published();
    const other =
      published !== null && published.journalId !== this.#journalId ? published.journalId : null;
    const ours = published?.ours ?? 0;
    if (other !== replaces || from > ours + 1) throw gap();
    if (published !== null && other !== null) {
      this.#fleet.ended.set(`${this.#host}/${other}`, published.sequence);
    }
    for (const { sequence, bytes } of records) {
      if (sequence <= ours) continue;
      const { length } = this.#fleet.entries;
      this.#fleet.entries[length] = {
        host: this.#host,
        journalId: this.#journalId,
        sequence,
        bytes,
      };
    }
    const sequence = Math.max(ours, records.at(-1)?.sequence ?? 0);
    this.#fleet.published.set(this.#host, { journalId: this.#journalId, sequence });
    return sequence;
  }

  async beat(): Promise<Beat> {
    if (!this.#open) throw closed();
    this.#hold('beat');
    return { published: this.#published(), warnings: [], readersAtRisk: [] };
  }

  async leave(): Promise<void> {
    const holder = this.#fleet.holders.get(this.#host);
    if (holder?.instance === this.#instance) this.#fleet.holders.delete(this.#host);
    else if (holder?.rival === this.#instance) holder.rival = null;
  }

  onLost(listener: (fault: Error) => void): void {
    this.#onLost = listener;
  }

  close(): void {
    this.#open = false;
  }

  #hold(verb: 'take' | 'beat'): void {
    const holder = this.#fleet.holders.get(this.#host);
    const takes = verb === 'take' && holder?.journalId === this.#journalId;
    if (holder === undefined || (takes && holder.rival === null)) {
      const mine = { instance: this.#instance, journalId: this.#journalId, rival: null };
      this.#fleet.holders.set(this.#host, mine);
      return;
    }
    if (holder.instance !== this.#instance) holder.rival = this.#instance;
    if (holder.rival !== null) {
      this.#contested = true;
      throw new Fault('FAILED_PRECONDITION', 'BUS_TWIN', `two hosts are called ${this.#host}`);
    }
  }

  #published(): Published | null {
    const found = this.#fleet.published.get(this.#host);
    if (found === undefined) return null;
    const ours =
      found.journalId === this.#journalId
        ? found.sequence
        : (this.#fleet.ended.get(`${this.#host}/${this.#journalId}`) ?? 0);
    return { ...found, ours };
  }
}

const gap = (): Fault =>
  new Fault('ABORTED', 'BUS_GAP', 'the batch does not continue what is published');
const closed = (): Fault => new Fault('UNAVAILABLE', 'BUS_UNAVAILABLE', 'the bus is closed');
