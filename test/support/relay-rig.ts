import type { Bus } from '../../src/bus/bus.js';
import { type Relay, type RelayLimits, startRelay } from '../../src/bus/relay.js';
import type { RelayStatus } from '../../src/bus/relay-status.js';
import type { Journal } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import type { Expectation } from './stream-checker.js';
import { waitFor } from './wait-for.js';

/** Everything happens soon, so that a test sees many retries and beats. */
export const SOON: Partial<RelayLimits> = { beatMs: 100, retryBaseMs: 10, retryMaxMs: 100 };

const LAG_MAX = 4_000;

/** A host: a journal, what is appended to it, and the relay. */
export interface RelayRig {
  readonly host: string;
  readonly journal: Journal;
  readonly relay: Relay;
  /** Every change that was told. */
  readonly told: RelayStatus[];
  /** Resolves when all of them are durable, as an acknowledged event is. */
  append(count: number, size?: number): Promise<void>;
  /** Appends now and then, until the answer is called. */
  keepAppending(): () => Promise<void>;
  /** Resolves when the bus has all that is durable. */
  caughtUp(withinMs?: number): Promise<void>;
  /** What the stream must have now. */
  expectation(): Promise<Expectation>;
  stop(drainMs?: number): Promise<void>;
}

export interface RelayRigOptions {
  readonly host: string;
  readonly bus: (journalId: string) => Bus;
  readonly journal?: Journal;
  readonly limits?: Partial<RelayLimits>;
}

export const startRelayRig = (options: RelayRigOptions): RelayRig => {
  const { host } = options;
  const journal = options.journal ?? new MemoryJournal();
  const told: RelayStatus[] = [];
  const silent = (): void => undefined;
  const relay = startRelay({
    journal,
    bus: options.bus(journal.id),
    lossMarker,
    wallMs: Date.now,
    log: { info: silent, warn: silent, error: silent },
    onStatus: (status) => told.push(status),
    limits: { ...SOON, ...options.limits },
  });

  const append = async (count: number, size = 190): Promise<void> => {
    const { durable } = journal.append({
      kind: 'ingest',
      records: Array.from({ length: count }, (_, at) => ({
        vm: '',
        bytes: payload(journal.next + at, size),
      })),
      rows: [],
    });
    await durable;
  };
  return {
    host,
    journal,
    relay,
    told,
    append,
    keepAppending: () => {
      let on = true;
      const appending = (async () => {
        for (let turn = 0; on; turn += 1) {
          // A bus that is away for seconds must not leave the test with a backlog of minutes.
          if (relay.status().lag < LAG_MAX) await append(1 + (turn % 40), 20 + ((turn * 37) % 400));
          await new Promise((resolve) => setTimeout(resolve, turn % 5));
        }
      })();
      return async () => {
        on = false;
        await appending;
      };
    },
    caughtUp: async (withinMs = 20_000) => {
      const isThere = () => {
        const { state, lag, published } = relay.status();
        return state === 'relaying' && lag === 0 && published === journal.status().newest;
      };
      await waitFor(`${host} caught up`, isThere, withinMs).catch((error: Error) => {
        const { fault, ...rest } = relay.status();
        const now = JSON.stringify({ ...rest, fault: fault?.message, told: told.length });
        throw new Error(`${error.message}; it is ${now}`);
      });
    },
    expectation: async () => ({ host, journalId: journal.id, records: await readJournal(journal) }),
    stop: (drainMs = 2_000) => relay.stop(drainMs),
  };
};

/** Begins with its own number, so that a mix-up is seen. */
export const payload = (sequence: number, size: number): Uint8Array => {
  const bytes = Buffer.alloc(Math.max(size, 12), 'x');
  bytes.write(`${sequence} `);
  return bytes;
};

export const lossMarker = (first: number, last: number): Uint8Array =>
  Buffer.from(`lost ${first} to ${last}`);

/** What a marker covers; null: it is a record. */
export const coveredBy = (data: Uint8Array): { first: number; last: number } | null => {
  const [, first, last] = /^lost (\d+) to (\d+)$/.exec(Buffer.from(data).toString()) ?? [];
  return first === undefined ? null : { first: Number(first), last: Number(last) };
};

export const readJournal = async (
  journal: Pick<Journal, 'read' | 'status'>,
): Promise<Map<number, Uint8Array>> => {
  const records = new Map<number, Uint8Array>();
  for (let after = Math.max(0, journal.status().oldest - 1); ; ) {
    const batch = await journal.read({ after });
    for (const { sequence, bytes } of batch.records) records.set(sequence, Buffer.from(bytes));
    if (batch.scanned === after) return records;
    after = batch.scanned;
  }
};
