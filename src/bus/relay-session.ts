import type { Journal, Sequence } from '../journal/journal.js';
import type { Bell } from '../lib/bell.js';
import { Fault, isFault } from '../lib/fault.js';
import type { Beat, Bus, BusRecord, Published } from './bus.js';
import type { Pace } from './pace.js';

export interface SessionLimits {
  /** How often the host says that it is alive. Default 15 s. */
  readonly beatMs: number;
}

export interface SessionOptions {
  readonly journal: Pick<Journal, 'id' | 'read' | 'status'>;
  readonly bus: Bus;
  readonly lossMarker: (first: Sequence, last: Sequence) => Uint8Array;
  readonly limits: SessionLimits;
  /** Outlives the session. */
  readonly pace: Pace;
  /** Rings when records became durable, and when `ask` changed. */
  readonly bell: Bell;
  /** The newest durable record, without asking the journal. */
  readonly newest: () => Sequence;
  readonly ask: () => 'run' | 'drain' | 'end';
  readonly onPublished: (sequence: Sequence) => void;
  /** The bus took something, or had nothing to take and is well. */
  readonly onProgress: () => void;
  readonly onWarnings: (beat: Omit<Beat, 'published'>) => void;
}

/** From `open` to the first failure: the cursor, and what is under way behind it. */
export class RelaySession {
  readonly #options: SessionOptions;
  /** Handed to `publish`; everything up to `#acked` is in the bus. */
  #handed: Sequence = 0;
  #acked: Sequence = 0;
  #inFlight = 0;
  #failure: { readonly error: unknown } | null = null;
  /** The journal that ends with our first batch. */
  #replaces: string | null = null;
  #beatAt = 0;
  #beating = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Resolves once `ask` wants it ended; rejects with what ended it. */
  async run(): Promise<void> {
    const { bus, bell, ask, limits, pace } = this.#options;
    bus.onLost((error) => this.#fail(error));
    this.#begin(await bus.open());
    this.#beatAt = performance.now() + limits.beatMs;
    while (ask() !== 'end') {
      if (this.#failure !== null) throw this.#failure.error;
      if (performance.now() >= this.#beatAt && !this.#beating) this.#beat();
      if (this.#inFlight < pace.now.batchesInFlight && (await this.#publishNext())) continue;
      if (this.#inFlight === 0) {
        if (ask() === 'drain') break;
        if (this.#failure === null) this.#options.onProgress();
      }
      await bell.wait(Math.max(1, this.#beatAt - performance.now()));
    }
  }

  #begin(seen: Published | null): void {
    const { journal, onPublished } = this.#options;
    const ours = seen?.ours ?? 0;
    const { newest } = journal.status();
    if (ours > newest) {
      throw new Fault(
        'FAILED_PRECONDITION',
        'BUS_AHEAD',
        `the fleet bus has this journal up to record ${ours}, the journal ends at ${newest}: ` +
          'it was restored from a copy; start with a new data directory',
        { metadata: { published: String(ours), newest: String(newest) } },
      );
    }
    this.#replaces = seen === null || seen.journalId === journal.id ? null : seen.journalId;
    this.#handed = ours;
    this.#acked = ours;
    onPublished(ours);
  }

  /** False: there is nothing to publish. */
  async #publishNext(): Promise<boolean> {
    const { journal, pace, newest, lossMarker } = this.#options;
    if (this.#handed >= newest()) return false;
    const from = this.#handed + 1;
    const { batchRecords, batchBytes } = pace.now;
    let records: readonly BusRecord[];
    try {
      const query = { after: this.#handed, limit: batchRecords, maxBytes: batchBytes };
      ({ records } = await journal.read(query));
    } catch (error) {
      if (!(isFault(error) && error.reason === 'JOURNAL_TRIMMED')) throw error;
      // A marker in the place of the last record that is gone; what is left follows it.
      const last = journal.status().oldest - 1;
      records = [{ sequence: last, bytes: lossMarker(from, last) }];
    }
    if (records.length === 0) return false;
    // What failed meanwhile is seen at the next turn; nothing is sent behind it.
    if (this.#failure === null) this.#publish(from, records);
    return true;
  }

  #publish(from: Sequence, records: readonly BusRecord[]): void {
    const { bus, bell, pace, onPublished, onProgress } = this.#options;
    const replaces = this.#replaces;
    this.#replaces = null;
    this.#handed = records.at(-1)?.sequence ?? this.#handed;
    this.#inFlight += 1;
    bus.publish({ from, records, replaces }).then(
      (sequence) => {
        this.#inFlight -= 1;
        this.#acked = sequence;
        pace.faster();
        onPublished(sequence);
        onProgress();
        bell.ring();
      },
      (error: unknown) => {
        this.#inFlight -= 1;
        if (this.#failure === null && isFault(error) && error.code === 'UNAVAILABLE') pace.slower();
        this.#fail(error);
      },
    );
  }

  #beat(): void {
    const { bus, journal, limits, onProgress, onWarnings } = this.#options;
    const acked = this.#acked;
    this.#beating = true;
    bus
      .beat()
      .then(({ published, ...told }) => {
        const has = published?.journalId === journal.id ? published.sequence : 0;
        if (has < acked) {
          throw new Fault('ABORTED', 'BUS_GAP', `the fleet bus had ${acked} and has ${has} now`);
        }
        onProgress();
        onWarnings(told);
      })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#beating = false;
        this.#beatAt = performance.now() + limits.beatMs;
        this.#options.bell.ring();
      });
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#options.bell.ring();
  }
}
