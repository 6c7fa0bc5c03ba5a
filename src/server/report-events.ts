import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import {
  type ReportEventRequest,
  type ReportEventResponse,
  ReportEventsRequest,
  type ReportEventsResponse,
  type ReportResult,
} from '../gen/vmwarden/v1/event_service.js';
import { Fault } from '../lib/fault.js';
import type { ResponseStream } from './router.js';
import { statusMessage } from './status.js';

/** The transport takes more, so that what is over this is refused in an ack and not by ending the stream. */
export const MAX_BATCH_BYTES = 256 * 1024;
const MAX_REPORTS = 256;
/** Batches on their way to the journal or, as acks, to a client that reads slowly; beyond it no further one is read. */
const MAX_UNDER_WAY = 4;

export type Batch =
  | { readonly kind: 'taken'; readonly id: bigint; readonly reports: ReportEventRequest[] }
  | { readonly kind: 'refused'; readonly id: bigint; readonly fault: Fault };

/** Never throws: what can't be taken is answered in its ack. */
export const batchFromBytes = (bytes: Uint8Array): Batch => {
  const id = peekBatchId(bytes);
  const refused = (fault: Fault): Batch => ({ kind: 'refused', id, fault });
  if (bytes.length > MAX_BATCH_BYTES) {
    const text = `The batch has ${bytes.length} bytes, at most ${MAX_BATCH_BYTES} are taken`;
    return refused(
      new Fault('RESOURCE_EXHAUSTED', 'MESSAGE_TOO_LARGE', text, {
        metadata: { limitBytes: String(MAX_BATCH_BYTES) },
      }),
    );
  }
  try {
    const { reports } = ReportEventsRequest.decode(bytes);
    if (reports.length > 0 && reports.length <= MAX_REPORTS) return { kind: 'taken', id, reports };
    const value = `${reports.length} reports`;
    return refused(
      new Fault('INVALID_ARGUMENT', 'INVALID_FIELDS', `The batch has ${value}`, {
        violations: [{ field: 'reports', value, expected: `1 to ${MAX_REPORTS}` }],
      }),
    );
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const text = `The batch is no valid ReportEventsRequest: ${why}`;
    return refused(new Fault('INVALID_ARGUMENT', 'MALFORMED_MESSAGE', text));
  }
};

/** One ack per batch, in order. When the requests end with an error, what was taken is acknowledged first. */
export const reportEvents = async (
  batches: AsyncIterable<Batch>,
  stream: ResponseStream<ReportEventsResponse>,
  report: (request: ReportEventRequest) => Promise<ReportEventResponse>,
): Promise<void> => {
  const underWay: Promise<void>[] = [];
  let last: Promise<void> = Promise.resolve();
  try {
    for await (const batch of batches) {
      const ack = ackOf(batch, report);
      const before = last;
      last = before.then(async () => stream.write(await ack));
      // Whoever waits for it learns of it; until then it is nobody's.
      last.catch(() => undefined);
      underWay.push(last);
      if (underWay.length >= MAX_UNDER_WAY) await underWay.shift();
    }
  } finally {
    await last;
  }
};

const ackOf = async (
  batch: Batch,
  report: (request: ReportEventRequest) => Promise<ReportEventResponse>,
): Promise<ReportEventsResponse> => {
  if (batch.kind === 'refused') {
    return { batchId: batch.id, status: statusMessage(batch.fault), results: [] };
  }
  const results = batch.reports.map(async (request): Promise<ReportResult> => {
    try {
      return { result: { $case: 'response', value: await report(request) } };
    } catch (error) {
      return { result: { $case: 'error', value: statusMessage(error) } };
    }
  });
  return { batchId: batch.id, status: undefined, results: await Promise.all(results) };
};

/** 0 when the bytes say none. */
const peekBatchId = (bytes: Uint8Array): bigint => {
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === 1 && type === WireType.Varint) return BigInt(reader.uint64());
      reader.skip(type, field);
    }
  } catch {
    // What is wrong with it is told by decoding the whole.
  }
  return 0n;
};
