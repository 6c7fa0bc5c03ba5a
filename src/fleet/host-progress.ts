/** How far a group has come in one journal of one host. Sequences count from 1. */
export interface Mark {
  /** Everything up to here is settled. 0: nothing, but the journal is known. */
  readonly through: number;
  /** Settled beyond it, while something before them is not; ascending. */
  readonly ahead: readonly number[];
}

/** Sequences, both ends included. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

/** What is not where it should be, right before a record. */
export type Missing =
  /** The host had to drop them before they could be published: the marker that follows says so. */
  | (Range & { readonly cause: 'loss'; readonly reason: string })
  /** No marker names them: they were trimmed away before this group read them. */
  | (Range & { readonly cause: 'hole' })
  /** The host goes on in another journal; how much of the one before is missing can't be known. */
  | {
      readonly cause: 'journalChanged';
      /** null: not known any more. */
      readonly previousJournalId: string | null;
    };

/** A record that stands in the place of those that were lost, from `first` to its own sequence. */
export interface Marker {
  readonly first: number;
  readonly reason: string;
}

interface JournalProgress {
  through: number;
  readonly ahead: Set<number>;
  /** The greatest sequence that has come by; what follows it is no gap. */
  seen: number;
}

/** The progress of one group in the journals of one host. Pure; what it says is made durable by others. */
export class HostProgress {
  readonly #journals = new Map<string, JournalProgress>();
  #current: string | null = null;

  /** Takes in what is known from elsewhere; never goes back. */
  merge(journalId: string, mark: Mark): void {
    const known = this.#journals.get(journalId);
    if (known === undefined) {
      const { through } = mark;
      this.#journals.set(journalId, { through, ahead: new Set(mark.ahead), seen: through });
      return;
    }
    known.through = Math.max(known.through, mark.through);
    known.seen = Math.max(known.seen, known.through);
    for (const sequence of mark.ahead) known.ahead.add(sequence);
    prune(known);
  }

  isSettled(journalId: string, sequence: number): boolean {
    const known = this.#journals.get(journalId);
    return known !== undefined && (sequence <= known.through || known.ahead.has(sequence));
  }

  /** A settled entry came by again. */
  passBy(journalId: string, sequence: number): void {
    const known = this.#journals.get(journalId);
    if (known !== undefined) known.seen = Math.max(known.seen, sequence);
    this.#current ??= journalId;
  }

  /** An unsettled entry came by: what is missing right before it, in order. */
  pass(journalId: string, sequence: number, marker: Marker | null): Missing[] {
    const previous = this.#current;
    const isFirstOfHost = this.#journals.size === 0;
    const known = this.#journals.get(journalId);
    const progress = known ?? begin(isFirstOfHost ? (marker?.first ?? sequence) - 1 : 0);
    this.#journals.set(journalId, progress);
    this.#current = journalId;
    const missing = missingBefore(progress, sequence, marker);
    progress.seen = Math.max(progress.seen, sequence);
    const changed =
      previous === null ? known === undefined && !isFirstOfHost : previous !== journalId;
    if (!changed) return missing;
    return [{ cause: 'journalChanged', previousJournalId: previous }, ...missing];
  }

  /**
   * `through`: all that came by, up to here, is settled. `ahead`: settled beyond it. Returns the mark to
   * keep, or null when there is nothing new.
   */
  settle(journalId: string, through: number | undefined, ahead: readonly number[]): Mark | null {
    const known = this.#journals.get(journalId);
    if (known === undefined) return null;
    let isNew = through !== undefined && through > known.through;
    known.through = Math.max(known.through, through ?? known.through);
    for (const sequence of ahead) {
      if (sequence > known.through && !known.ahead.has(sequence)) {
        known.ahead.add(sequence);
        isNew = true;
      }
    }
    prune(known);
    return isNew ? markOf(known) : null;
  }

  /** Everything to remember, by journal id. */
  marks(): Map<string, Mark> {
    return new Map([...this.#journals].map(([journalId, known]) => [journalId, markOf(known)]));
  }
}

const begin = (through: number): JournalProgress => ({ through, ahead: new Set(), seen: through });

const missingBefore = (
  { seen, ahead }: JournalProgress,
  sequence: number,
  marker: Marker | null,
): Missing[] => {
  const lostFrom = marker === null ? sequence : Math.max(marker.first, seen + 1);
  const holes = unsettled(seen + 1, lostFrom - 1, ahead);
  const lost = marker === null ? [] : unsettled(lostFrom, sequence, ahead);
  const reason = marker?.reason ?? '';
  return [
    ...holes.map((hole): Missing => ({ cause: 'hole', ...hole })),
    ...lost.map((loss): Missing => ({ cause: 'loss', ...loss, reason })),
  ];
};

/** What is settled ahead need not come by again, and is not missing. */
const unsettled = (first: number, last: number, ahead: ReadonlySet<number>): Range[] => {
  const ranges: Range[] = [];
  let from = first;
  const known = [...ahead].filter((one) => one >= first && one <= last).sort((a, b) => a - b);
  for (const end of [...known, last + 1]) {
    if (end > from) ranges.push({ first: from, last: end - 1 });
    from = end + 1;
  }
  return ranges;
};

const markOf = ({ through, ahead }: JournalProgress): Mark => ({
  through,
  ahead: [...ahead].sort((a, b) => a - b),
});

const prune = (progress: JournalProgress): void => {
  for (const sequence of progress.ahead) {
    if (sequence <= progress.through) progress.ahead.delete(sequence);
  }
};
