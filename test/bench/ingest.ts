import type { ClientHttp2Stream } from 'node:http2';
import { credentials } from '@grpc/grpc-js';
import {
  EventServiceClient,
  EventServiceService,
  ReportEventRequest,
  type ReportEventsResponse,
  WatchRecordsRequest,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { Capability, RawEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import { openStream } from '../support/http2-stream.js';
import type { Bench, Figure } from './figure.js';
import { startServe } from './serve.js';
import { median, middleHalf, summarize } from './statistics.js';

const WATCHERS = 20;
const BATCH = 256;
const BATCHES = 16;
/** So many that none has more events than are journaled singly: 50 at once, then 10 a second. */
const VMS = BATCH * BATCHES;
/** Each of them would read far more than its window, the server's batch of 256 KiB and what HTTP/2 buffers. */
const JOURNAL_RECORDS = 40_000;
const STUCK_TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** How long ReportEvents takes for so many reports, alone and beside watchers that read nothing; in turn. */
export const ingest: Bench = {
  name: 'ingest',
  run: async (context) => {
    const serve = await startServe(context, 'ingest', []);
    const client = new EventServiceClient(`unix:${serve.socket}`, credentials.createInsecure());
    try {
      let newest = 0n;
      while (newest < JOURNAL_RECORDS) newest = await reportAll(client);
      const alone: number[] = [];
      const beside: number[] = [];
      const rounds = context.quick ? 5 : 25;
      for (let round = -1; round < rounds; round += 1) {
        // Each goes first in every other round.
        const order = round % 2 === 0 ? [alone, beside] : [beside, alone];
        for (const samples of order) {
          const ms = await measure(client, serve.socket, samples === beside ? WATCHERS : 0);
          if (round >= 0) samples.push(ms);
        }
      }
      return [figure(alone, beside)];
    } finally {
      client.close();
      await serve.stop();
    }
  },
};

const measure = async (
  client: EventServiceClient,
  socket: string,
  watchers: number,
): Promise<number> => {
  const stuck = Array.from({ length: watchers }, () => openWatcher(socket));
  try {
    await Promise.all(stuck.map(({ untilStuck }) => untilStuck()));
    const startedAt = performance.now();
    await reportAll(client);
    const ms = performance.now() - startedAt;
    for (const { isStuck } of stuck) if (!isStuck()) throw new Error('a watcher was not stuck');
    return ms;
  } finally {
    for (const { close } of stuck) close();
  }
};

/** A watcher from the oldest record on, on a connection of its own, that never reads. */
const openWatcher = (socket: string) => {
  const request = WatchRecordsRequest.encode({
    ...WatchRecordsRequest.create(),
    newest: 1_000_000,
  });
  const { stream, close } = openStream(
    socket,
    EventServiceService.watchRecords.path,
    request.finish(),
  );
  stream.on('error', () => undefined);
  const isStuck = (): boolean => isFull(stream);
  return {
    isStuck,
    untilStuck: async (): Promise<void> => {
      const deadline = AbortSignal.timeout(STUCK_TIMEOUT_MS);
      while (!isStuck()) {
        deadline.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    },
    close,
  };
};

/** Nothing more may be sent to it. */
const isFull = ({ closed, state }: ClientHttp2Stream): boolean =>
  !closed && state.localWindowSize === 0;

/** One report of each VM, in batches; the sequence of the last. */
const reportAll = (client: EventServiceClient): Promise<bigint> =>
  new Promise((resolve, reject) => {
    const call = client.reportEvents();
    let acks = 0;
    call.on('error', reject);
    call.on('data', (ack: ReportEventsResponse) => {
      const last = ack.results.at(-1)?.result;
      if (ack.results.length !== BATCH || last?.$case !== 'response') {
        reject(new Error(`batch ${ack.batchId} was not taken: ${JSON.stringify(last)}`));
        call.cancel();
        return;
      }
      acks += 1;
      if (acks < BATCHES) return;
      call.end();
      resolve(last.value.sequence);
    });
    for (let batch = 0; batch < BATCHES; batch += 1) {
      const reports = Array.from({ length: BATCH }, (_, index) => reportOf(batch * BATCH + index));
      call.write({ batchId: BigInt(batch), reports });
    }
  });

/** A suspend, which the bench's policy only notes. */
const reportOf = (vm: number): ReportEventRequest => ({
  ...ReportEventRequest.create(),
  vmId: `vm-${vm % VMS}`,
  raw: SUSPEND,
});

const SUSPEND: RawEvent = {
  ...RawEvent.create(),
  arch: 'arm64',
  capability: Capability.PRESENT,
  form: { $case: 'fields', value: { type: 5, ndata: 0, data: [], flags: undefined } },
};

const figure = (alone: readonly number[], beside: readonly number[]): Figure => ({
  kind: 'measured',
  name: `ReportEvents of ${VMS} events, beside ${WATCHERS} stuck watchers`,
  unit: 'ms',
  ours: summarize(beside),
  floor: { ...summarize(alone), what: 'the same without them' },
  ratio: median(beside) / median(alone),
  limit: 1.1,
  remarks: [
    `middle half ${middleHalf(beside)} against ${middleHalf(alone)}`,
    `${Math.round((VMS / median(beside)) * 1000)} events a second`,
  ],
});
