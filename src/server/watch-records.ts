import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { WatchRecordsRequest } from '../gen/vmwarden/v1/event_service.js';
import type { Journal, Sequence, StoredRecord } from '../journal/journal.js';
import { Fault, type Violation } from '../lib/fault.js';
import { peekRecord, RECORD_KINDS } from './record-peek.js';
import type { ResponseStream } from './router.js';

export interface WatchOptions {
  /** Silence after which a heartbeat is sent. Default 15 s. */
  readonly heartbeatMs?: number;
}

/** About this much of the journal is held for each watcher, whatever it has still to read. */
const BATCH_BYTES = 256 * 1024;
const BATCH_RECORDS = 512;
const MAX_FILTER_VMS = 256;

/** Sends encoded WatchRecordsResponse messages until the signal aborts, or the newest record was sent. */
export const watchRecords = async (
  journal: Journal,
  request: WatchRecordsRequest,
  stream: ResponseStream<Uint8Array>,
  { heartbeatMs = 15_000 }: WatchOptions = {},
): Promise<void> => {
  const wanted = filterOf(request);
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
        ...(request.vmIds.length === 1 ? { vm: request.vmIds[0] ?? '' } : {}),
      });
      stream.signal.throwIfAborted();
      const caughtUp = batch.scanned === scanned;
      scanned = batch.scanned;
      const records = batch.records.filter(wanted);
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

const filterOf = (request: WatchRecordsRequest): ((record: StoredRecord) => boolean) => {
  const known = [...RECORD_KINDS.values()];
  const violations: Violation[] = request.kinds.flatMap((kind, index) =>
    known.includes(kind)
      ? []
      : [{ field: `kinds[${index}]`, value: quote(kind), expected: `one of ${known.join(', ')}` }],
  );
  if (request.vmIds.length > MAX_FILTER_VMS) {
    violations.push({
      field: 'vmIds',
      value: `${request.vmIds.length} ids`,
      expected: `at most ${MAX_FILTER_VMS}; leave it empty and filter what comes`,
    });
  }
  if (violations.length > 0) {
    throw new Fault('INVALID_ARGUMENT', 'INVALID_FIELDS', 'The watch can not be filtered so', {
      violations,
    });
  }
  const vms = new Set(request.vmIds);
  const kinds = new Set(request.kinds);
  if (kinds.size === 0 && vms.size < 2) return () => true;
  return ({ bytes }) => {
    const { vm, kind } = peekRecord(bytes);
    return (vms.size === 0 || vms.has(vm)) && (kinds.size === 0 || kinds.has(kind));
  };
};

const startOf = (journal: Journal, request: WatchRecordsRequest): Sequence => {
  if (request.journalId !== '' && request.journalId !== journal.id) {
    throw new Fault(
      'FAILED_PRECONDITION',
      'OTHER_JOURNAL',
      'This host has another journal now; its sequences start afresh, so watch from 0',
      { metadata: { journalId: journal.id } },
    );
  }
  const { oldest, newest } = journal.status();
  if (request.afterSequence === 0n) {
    const back = request.newest === 0 ? newest : request.newest;
    return Math.max(0, oldest - 1, newest - back);
  }
  if (request.newest > 0) {
    throw new Fault('INVALID_ARGUMENT', 'INVALID_FIELDS', 'The watch begins in two places', {
      violations: [
        { field: 'newest', value: String(request.newest), expected: '0 with an afterSequence' },
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

const quote = (text: string): string => JSON.stringify(text.slice(0, 64));

/** Field `record` of SequencedRecord takes the stored bytes as they are: on the wire a message is its bytes. */
const encodeBatch = (
  journalId: string,
  records: readonly StoredRecord[],
  scanned: Sequence,
): Uint8Array => {
  const writer = new BinaryWriter();
  writer.uint32(10).string(journalId);
  for (const { sequence, bytes } of records) {
    writer.uint32(18).fork();
    writer.uint32(8).uint64(sequence);
    writer.uint32(18).bytes(bytes);
    writer.join();
  }
  writer.uint32(24).uint64(scanned);
  return writer.finish();
};
