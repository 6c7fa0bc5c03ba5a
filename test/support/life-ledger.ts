import type { ClientReadableStream } from '@grpc/grpc-js';
import {
  WatchRecordsRequest,
  type WatchRecordsResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { Record, StepState } from '../../src/gen/vmwarden/v1/record.js';
import { openLmdbReader } from '../../src/journal/lmdb/lmdb-reader.js';
import type { LifeClient } from './life-client.js';

export type Body<Kind extends string> = Extract<
  NonNullable<Record['body']>,
  { $case: Kind }
>['value'];

/** The journal as a watcher got it over all lives: each life's stream is resumed where the last one broke off. */
export class LifeLedger {
  /** Record n is at n - 1. */
  readonly records: Record[] = [];
  /** What was wrong with a stream; empty: nothing. */
  readonly complaints: string[] = [];
  readonly #wakers = new Set<() => void>();
  #journalId = '';
  #stream: ClientReadableStream<WatchRecordsResponse> | null = null;

  /** Reads on in this life; the one before may have ended in any way. */
  follow(client: LifeClient): void {
    this.leave();
    const stream = client.events.watchRecords({
      ...WatchRecordsRequest.create(),
      afterSequence: BigInt(this.records.length),
      journalId: this.#journalId,
    });
    this.#stream = stream;
    stream.on('data', (batch: WatchRecordsResponse) => {
      if (stream === this.#stream) this.#take(batch);
    });
    // A killed life ends its streams; what was missed comes with the next one.
    stream.on('error', () => undefined);
  }

  leave(): void {
    this.#stream?.cancel();
    this.#stream = null;
  }

  /** Resolves when what has been read satisfies `holds`; asked at each batch. */
  async until(what: string, holds: () => boolean, timeoutMs = 10_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!holds()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`not within ${timeoutMs} ms: ${what}`);
      await this.#news(leftMs);
    }
  }

  bodies<Kind extends string>(vm: string, kind: Kind): readonly Body<Kind>[] {
    return this.records.flatMap(({ vmId, body }) =>
      vmId === vm && body?.$case === kind ? [body.value as Body<Kind>] : [],
    );
  }

  /** What was done about each incident, as `restart applied`, in order. */
  incidents(vm: string): ReadonlyMap<string, readonly string[]> {
    const found = new Map<string, string[]>();
    for (const { vmId, incidentId, body } of this.records) {
      if (vmId !== vm || incidentId === '') continue;
      if (body?.$case === 'decision') found.set(incidentId, found.get(incidentId) ?? []);
      if (body?.$case === 'step' && isOutcome(body.value)) {
        const { verb, state } = body.value;
        found.set(incidentId, [
          ...(found.get(incidentId) ?? []),
          `${verb} ${(StepState[state] ?? '').toLowerCase()}`,
        ]);
      }
    }
    return found;
  }

  /** One line a record, for a person who looks for what went wrong. */
  story(vm: string): readonly string[] {
    return this.records.flatMap((record, at) => {
      if (record.vmId !== vm && record.vmId !== '') return [];
      const json = JSON.stringify(Record.toJSON(record));
      return [`${at + 1} ${json.length > 500 ? `${json.slice(0, 500)}...` : json}`];
    });
  }

  #news(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wakers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, withinMs);
      this.#wakers.add(wake);
    });
  }

  #take({ journalId, records }: WatchRecordsResponse): void {
    if (this.#journalId !== '' && journalId !== this.#journalId) {
      this.complaints.push(`journal ${this.#journalId} became ${journalId}`);
    }
    this.#journalId = journalId;
    for (const { sequence, record } of records) {
      const wanted = BigInt(this.records.length + 1);
      if (sequence !== wanted) this.complaints.push(`record ${sequence} where ${wanted} was due`);
      if (record !== undefined) this.records.push(record);
    }
    for (const wake of [...this.#wakers]) wake();
  }
}

const isOutcome = ({ state }: Body<'step'>): boolean =>
  state !== StepState.STARTED && state !== StepState.PROGRESS;

/** Steps that were started and have no outcome: `incident/index`. */
export const unendedSteps = (records: readonly Record[]): readonly string[] => {
  const open = new Set<string>();
  for (const { incidentId, body } of records) {
    if (body?.$case !== 'step') continue;
    const step = `${incidentId}/${body.value.index}`;
    if (isOutcome(body.value)) open.delete(step);
    else open.add(step);
  }
  return [...open];
};

/** Everything in a closed journal, read and verified without vmwarden: problems come as text, records by sequence. */
export const readClosedJournal = async (
  dir: string,
): Promise<{ readonly records: readonly Record[]; readonly problems: readonly string[] }> => {
  const reader = await openLmdbReader({ dir });
  try {
    const problems: string[] = [];
    await reader.verify({
      checkRecord: ({ bytes }) => (Record.decode(bytes).body === undefined ? 'no body' : null),
      onProblem: (problem) => {
        problems.push(problem);
      },
    });
    const { oldest, newest } = reader.status();
    if (oldest !== 1) problems.push(`the oldest record is ${oldest}`);
    const records: Record[] = [];
    for (let after = 0; after < newest; ) {
      const batch = await reader.read({ after, limit: 10_000 });
      for (const { sequence, bytes } of batch.records) {
        if (sequence !== records.length + 1) problems.push(`a gap before record ${sequence}`);
        records.push(Record.decode(bytes));
      }
      if (batch.scanned === after) break;
      after = batch.scanned;
    }
    if (records.length !== newest) problems.push(`${records.length} records, newest is ${newest}`);
    return { records, problems };
  } finally {
    await reader.close();
  }
};
