import type {
  EventServiceClient,
  ReportEventRequest,
  ReportEventsResponse,
  ReportResult,
} from '../gen/vmwarden/v1/event_service.js';
import { Fault } from '../lib/fault.js';
import { faultOf, faultOfStatus } from './grpc-client.js';

/** ReportEvents as one promise per batch. */
export interface ReportStream {
  /** In the order of the reports. Rejects with a Fault: the batch's own, or the one that ended the stream. */
  send(reports: readonly ReportEventRequest[]): Promise<readonly ReportResult[]>;
  /** Why nothing more can be sent; null: it can. */
  ended(): Fault | null;
  close(): void;
}

interface Waiting {
  readonly batchId: bigint;
  readonly reports: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (results: readonly ReportResult[]) => void;
  readonly reject: (fault: Fault) => void;
}

const ACK_TIMEOUT_MS = 30_000;

/** How many batches are under way is its caller's to bound. */
export const openReportStream = (
  client: EventServiceClient,
  ackTimeoutMs = ACK_TIMEOUT_MS,
): ReportStream => {
  const call = client.reportEvents();
  /** Acks come in the order of the batches. */
  const waiting: Waiting[] = [];
  let batches = 0n;
  let ended: Fault | null = null;

  const end = (fault: Fault): void => {
    ended ??= fault;
    for (const { timer, reject } of waiting.splice(0)) {
      clearTimeout(timer);
      reject(ended);
    }
    call.cancel();
  };
  call.on('error', (error) => end(faultOf(error)));
  call.on('end', () => end(broken('The stream of acks ended')));
  call.on('data', ({ batchId, status, results }: ReportEventsResponse) => {
    const first = waiting[0];
    if (first === undefined || first.batchId !== batchId) {
      end(broken(`An ack of batch ${batchId} came, which does not wait for one`));
      return;
    }
    if (status === undefined && results.length !== first.reports) {
      end(broken(`The ack of batch ${batchId} has ${results.length} results`));
      return;
    }
    waiting.shift();
    clearTimeout(first.timer);
    if (status === undefined) first.resolve(results);
    else first.reject(faultOfStatus(status));
  });

  return {
    send: (reports) =>
      new Promise((resolve, reject) => {
        if (ended !== null) {
          reject(ended);
          return;
        }
        const timer = setTimeout(() => end(late(ackTimeoutMs)), ackTimeoutMs);
        batches += 1n;
        waiting.push({ batchId: batches, reports: reports.length, timer, resolve, reject });
        call.write({ batchId: batches, reports: [...reports] });
      }),
    ended: () => ended,
    close: () => {
      call.end();
      end(broken('It was closed'));
    },
  };
};

const late = (ms: number): Fault =>
  new Fault('DEADLINE_EXCEEDED', 'SERVER_SILENT', `No ack for ${ms / 1000} s`);

const broken = (message: string): Fault => new Fault('INTERNAL', 'CLIENT_FAILED', message);
