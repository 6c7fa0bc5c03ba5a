import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { ErrorInfo } from '../../src/gen/google/rpc/error_details.js';
import type { Status } from '../../src/gen/google/rpc/status.js';
import {
  EventServiceClient,
  EventServiceService,
  ReportEventRequest,
  ReportEventsRequest,
  type ReportEventsResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { type ListVmsResponse, VmServiceClient } from '../../src/gen/vmwarden/v1/vm_service.js';
import { Fault } from '../../src/lib/fault.js';
import { MAX_BATCH_BYTES } from '../../src/server/report-events.js';
import { outcomeOf, startTestServer, type TestServer } from '../support/grpc-server.js';
import { openStream } from '../support/http2-stream.js';

const report = (vmId: string, requestId = '', padding = 0): ReportEventRequest =>
  ReportEventRequest.fromPartial({
    vmId,
    requestId,
    raw: {
      arch: 'x86_64',
      capability: 1,
      form:
        padding > 0
          ? { $case: 'bytes', value: { record: Buffer.alloc(padding, 1), byteOrder: 1 } }
          : { $case: 'fields', value: { type: 3, ndata: 0 } },
    },
  });

const batch = (batchId: number, reports: ReportEventRequest[]): ReportEventsRequest => ({
  batchId: BigInt(batchId),
  reports,
});

interface Reporter {
  readonly call: ClientDuplexStream<ReportEventsRequest, ReportEventsResponse>;
  readonly acks: ReportEventsResponse[];
  readonly ended: Promise<status>;
}

const reporter = (server: TestServer): Reporter => {
  const call = server.client(EventServiceClient).reportEvents();
  const acks: ReportEventsResponse[] = [];
  call.on('data', (ack: ReportEventsResponse) => acks.push(ack));
  call.on('error', () => undefined);
  const ended = new Promise<status>((resolve) => {
    call.on('status', ({ code }) => setImmediate(() => resolve(code)));
  });
  return { call, acks, ended };
};

const reasonOf = ({ details }: Status): string | undefined => {
  const found = details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.ErrorInfo'));
  return found === undefined ? undefined : ErrorInfo.decode(found.value).reason;
};

const sequencesOf = ({ results }: ReportEventsResponse) =>
  results.map(({ result }) => (result?.$case === 'response' ? Number(result.value.sequence) : 0));

describe('ReportEvents', () => {
  test('acknowledges each batch once, in order, when all of it is durable', async () => {
    const server = await startTestServer();
    const { call, acks, ended } = reporter(server);
    for (let id = 1; id <= 20; id += 1) {
      call.write(batch(id, [report(`vm-${id}`), report('shared', `r-${id}`)]));
    }
    call.end();
    expect(await ended).toBe(status.OK);
    expect(acks.map(({ batchId }) => Number(batchId))).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    expect(acks.every((ack) => ack.status === undefined)).toBe(true);
    expect(acks.flatMap(sequencesOf)).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
    expect(server.journal.status().newest).toBe(40);
  });

  test('a report that is wrong has its own error, and the others are taken', async () => {
    const server = await startTestServer();
    const { call, acks, ended } = reporter(server);
    call.end(batch(1, [report('a'), report('no/slash'), report('b')]));
    expect(await ended).toBe(status.OK);
    const [good, bad, also] = acks[0]?.results ?? [];
    expect([good?.result?.$case, bad?.result?.$case, also?.result?.$case]).toEqual([
      'response',
      'error',
      'response',
    ]);
    const error = bad?.result?.$case === 'error' ? bad.result.value : undefined;
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    expect(error === undefined ? '' : reasonOf(error)).toBe('INVALID_FIELDS');
  });

  test('what the engine refuses is told per report', async () => {
    const server = await startTestServer();
    server.engine.answerWith(async () => {
      throw new Fault('RESOURCE_EXHAUSTED', 'JOURNAL_FULL', 'full', { retryAfterMs: 1000 });
    });
    const { call, acks, ended } = reporter(server);
    call.end(batch(1, [report('a')]));
    await ended;
    const [only] = acks[0]?.results ?? [];
    expect(only?.result).toMatchObject({
      $case: 'error',
      value: { code: status.RESOURCE_EXHAUSTED, message: 'full' },
    });
  });

  test.each([
    {
      what: 'over its size',
      wrong: batch(7, [report('a', '', MAX_BATCH_BYTES + 1)]),
      reason: 'MESSAGE_TOO_LARGE',
      code: status.RESOURCE_EXHAUSTED,
    },
    { what: 'empty', wrong: batch(7, []), reason: 'INVALID_FIELDS', code: status.INVALID_ARGUMENT },
    {
      what: 'of too many reports',
      wrong: batch(
        7,
        Array.from({ length: 257 }, () => report('a')),
      ),
      reason: 'INVALID_FIELDS',
      code: status.INVALID_ARGUMENT,
    },
  ])(
    'a batch $what is refused in its ack, and the stream lives',
    async ({ wrong, reason, code }) => {
      const server = await startTestServer();
      const { call, acks, ended } = reporter(server);
      call.write(wrong);
      call.end(batch(8, [report('a')]));
      expect(await ended).toBe(status.OK);
      expect(acks.map(({ batchId }) => batchId)).toEqual([7n, 8n]);
      expect(acks[0]?.status?.code).toBe(code);
      expect(acks[0]?.status === undefined ? '' : reasonOf(acks[0].status)).toBe(reason);
      expect(acks[0]?.results).toEqual([]);
      expect(acks[1]?.status).toBeUndefined();
      expect(server.journal.status().newest).toBe(1);
    },
  );

  test('bytes that are no batch are refused in an ack, and the stream lives', async () => {
    const server = await startTestServer();
    const client = server.client(EventServiceClient);
    const { path, responseDeserialize } = EventServiceService.reportEvents;
    const call = client.makeBidiStreamRequest(path, (bytes: Buffer) => bytes, responseDeserialize);
    const acks: ReportEventsResponse[] = [];
    call.on('data', (ack: ReportEventsResponse) => acks.push(ack));
    const ended = new Promise<number>((resolve) => call.on('status', ({ code }) => resolve(code)));
    call.write(Buffer.from([0x08, 0x05, 0x12, 0xff, 0xff, 0x03]));
    call.end(Buffer.from(ReportEventsRequest.encode(batch(6, [report('a')])).finish()));
    expect(await ended).toBe(status.OK);
    expect(acks.map(({ batchId }) => batchId)).toEqual([5n, 6n]);
    expect(acks[0]?.status?.code).toBe(status.INVALID_ARGUMENT);
  });

  test('over the transport’s own limit the stream ends with a precise status', async () => {
    const server = await startTestServer();
    const { call, ended } = reporter(server);
    call.write(batch(1, [report('a', '', 5 * 1024 * 1024)]));
    expect(await ended).toBe(status.RESOURCE_EXHAUSTED);
  });

  test('who reads no acks is not read from', async () => {
    const server = await startTestServer();
    const others = server.client(VmServiceClient);
    const { path } = EventServiceService.reportEvents;
    const payload = Buffer.from(
      ReportEventsRequest.encode(
        batch(
          1,
          Array.from({ length: 256 }, () => report('a'.repeat(200))),
        ),
      ).finish(),
    );
    const { stream, close } = openStream(server.socket, path, payload, { end: false });
    try {
      const frame = Buffer.concat([
        Buffer.from([0, 0, 0, payload.length >> 8, payload.length & 255]),
        payload,
      ]);
      frame.writeUInt32BE(payload.length, 1);
      let written = 1;
      // Until nothing more is taken: the acks fill the windows, then the requests do.
      while (written < 400 && stream.writableLength < 2 * 1024 * 1024) {
        stream.write(frame);
        written += 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
      // The server has had so many turns without taking another one.
      for (let turns = 0, before = -1; turns < 50; turns += 1) {
        const { error } = await outcomeOf<ListVmsResponse>((callback) =>
          others.listVms({ pageSize: 0, pageToken: '' }, callback),
        );
        expect(error).toBeNull();
        if (server.engine.reports.length !== before) turns = 0;
        before = server.engine.reports.length;
      }
      expect(server.engine.reports.length).toBeLessThan(written * 256);
    } finally {
      close();
    }
  });

  test('a stop acknowledges what was taken, then ends the stream', async () => {
    const server = await startTestServer();
    let durable: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => {
      server.engine.answerWith(
        ({ event }) =>
          new Promise((answer) => {
            durable = () => answer({ sequence: 9, event, disposition: 'decided', repeat: false });
            resolve();
          }),
      );
    });
    const { call, acks, ended } = reporter(server);
    call.write(batch(1, [report('a')]));
    await entered;
    const stopped = server.running.stop(10_000);
    durable();
    expect(await ended).toBe(status.UNAVAILABLE);
    expect(acks.flatMap(sequencesOf)).toEqual([9]);
    await stopped;
  });
});
