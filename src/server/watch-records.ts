import type { WatchRecordsRequest } from '../gen/vmwarden/v1/event_service.js';
import type { Journal, Sequence } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import { encodeBatch } from './encode-records.js';
import { createFieldCheck } from './field-check.js';
import { sameJournal } from './list-records.js';
import { recordFilter, type VmLabels } from './record-filter.js';
import type { ResponseStream } from './router.js';

export interface WatchOptions {
  /** Silence after which a heartbeat is sent. Default 15 s. */
  readonly heartbeatMs?: number;
  /** Default: no VM has labels. */
  readonly labels?: VmLabels;
}

/** About this much of the journal is held for each watcher, whatever it has still to read. */
const BATCH_BYTES = 256 * 1024;
const BATCH_RECORDS = 512;

/** Sends encoded WatchRecordsResponse messages until the signal aborts, or the newest record was sent. */
export const watchRecords = async (
  journal: Journal,
  request: WatchRecordsRequest,
  stream: ResponseStream<Uint8Array>,
  { heartbeatMs = 15_000, labels = new Map() }: WatchOptions = {},
): Promise<void> => {
  const check = createFieldCheck();
  const filter = recordFilter(request, labels, check);
  check.done('The watch can not be filtered so');
  let scanned = startOf(journal, request);
  // Records that come while the last batch is on its way are not waited for.
  const goal = request.untilNewest ? journal.status().newest : Number.POSITIVE_INFINITY;
  const news = createNews(journal, stream.signal, heartbeatMs);
  try {
    for (;;) {
      news.forget();
      const batch = await journal.read({
        after: scanned,
        limit: BATCH_RECORDS,
        maxBytes: BATCH_BYTES,
        ...(filter.onlyVm === null ? {} : { vm: filter.onlyVm }),
      });
      stream.signal.throwIfAborted();
      const caughtUp = batch.scanned === scanned;
      scanned = batch.scanned;
      const records = batch.records.filter(({ bytes }) => filter.wants(bytes));
      const last = scanned >= goal;
      if (records.length > 0 || last) {
        await stream.write(encodeBatch(journal.id, records, scanned));
        news.restartHeartbeat();
      }
      if (last) return;
      if (caughtUp && (await news.next()) === 'silence') {
        await stream.write(encodeBatch(journal.id, [], scanned));
        news.restartHeartbeat();
      }
    }
  } finally {
    news.end();
  }
};

/** What a watcher that has read everything waits for. */
const createNews = (journal: Journal, signal: AbortSignal, heartbeatMs: number) => {
  let arrived = false;
  let silent = false;
  let wake: (() => void) | null = null;
  const timer = setInterval(() => {
    silent = true;
    wake?.();
  }, heartbeatMs);
  const onAbort = () => wake?.();
  const stopListening = journal.onDurable(() => {
    arrived = true;
    wake?.();
  });
  signal.addEventListener('abort', onAbort, { once: true });
  return {
    /** Called before a read: what came earlier will be read by it. */
    forget: () => {
      arrived = false;
    },
    restartHeartbeat: () => {
      silent = false;
      timer.refresh();
    },
    next: async (): Promise<'records' | 'silence'> => {
      if (!arrived && !silent && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = null;
      }
      signal.throwIfAborted();
      return arrived ? 'records' : 'silence';
    },
    end: () => {
      clearInterval(timer);
      stopListening();
      signal.removeEventListener('abort', onAbort);
    },
  };
};

const startOf = (journal: Journal, request: WatchRecordsRequest): Sequence => {
  sameJournal(journal, request.journalId);
  const { oldest, newest } = journal.status();
  if (request.afterSequence === 0n) {
    const back = request.newest === 0 ? newest : request.newest;
    return Math.max(0, oldest - 1, newest - back);
  }
  if (request.newest > 0) {
    throw new Fault('INVALID_ARGUMENT', 'INVALID_FIELDS', 'The watch begins in two places', {
      violations: [
        { field: 'newest', value: String(request.newest), expected: '0 with an after_sequence' },
      ],
    });
  }
  if (request.afterSequence > BigInt(newest)) {
    throw new Fault(
      'OUT_OF_RANGE',
      'SEQUENCE_AHEAD',
      `afterSequence is ${request.afterSequence}, but the newest record is ${newest}`,
      { metadata: { newest: String(newest) } },
    );
  }
  return Number(request.afterSequence);
};
