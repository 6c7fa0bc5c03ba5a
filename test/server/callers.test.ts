import { status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  EventServiceClient,
  GetRecordRequest,
  WatchRecordsRequest,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { type ListVmsResponse, VmServiceClient } from '../../src/gen/vmwarden/v1/vm_service.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';

const list = (client: VmServiceClient) =>
  outcomeOf<ListVmsResponse>((callback) =>
    client.listVms({ pageSize: 0, pageToken: '' }, callback),
  );

test('many streams of both kinds raise no warning of a leak, and leave their places when they are cut', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const server = await startTestServer({ heartbeatMs: 5 });
  const client = server.client(EventServiceClient);
  // More than a method's places in all, so that one that is not given back is missed.
  for (let wave = 0; wave < 4; wave += 1) {
    const calls = Array.from({ length: 20 }, () => [
      client.reportEvents(),
      client.watchRecords(WatchRecordsRequest.create()),
    ]).flat();
    const ends = calls.map(
      (call) =>
        new Promise<number>((resolve) => {
          call.on('error', ({ code }: { code: number }) => resolve(code));
        }),
    );
    const heard = calls.map(
      (call, index) =>
        new Promise<unknown>((resolve) => {
          call.once('data', resolve);
          ends[index]?.then(resolve);
        }),
    );
    for (const call of calls) {
      if ('write' in call) call.write({ batchId: 1n, reports: [] });
    }
    await Promise.all(heard);
    for (const call of calls) call.cancel();
    expect(new Set(await Promise.all(ends))).toEqual(new Set([status.CANCELLED]));
    // A call behind them on the connection comes when the server has heard of it.
    await outcomeOf((callback) => client.getRecord(GetRecordRequest.create(), callback));
  }
  expect(warnings).toEqual([]);
});

describe('limits per caller', () => {
  test('one that calls too fast is told when to come again; another is not held up', async () => {
    const server = await startTestServer({
      callerLimits: { callsPerSecond: 0.001, callsAtOnce: 2 },
    });
    const fast = server.client(VmServiceClient);
    expect((await list(fast)).error).toBeNull();
    expect((await list(fast)).error).toBeNull();
    const { error } = await list(fast);
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(detailsOf(error).info?.reason).toBe('CALLING_TOO_FAST');
    expect(detailsOf(error).retry?.retryDelay?.seconds).toBeGreaterThan(0n);
    expect((await list(server.client(VmServiceClient))).error).toBeNull();
  });

  test('one that holds too many streams is refused the next; another is not', async () => {
    const server = await startTestServer({ callerLimits: { streams: 2 }, heartbeatMs: 5 });
    const greedy = server.client(EventServiceClient);
    const open = (client: EventServiceClient): Promise<number> =>
      new Promise((resolve) => {
        const stream = client.watchRecords(WatchRecordsRequest.create());
        stream.on('error', ({ code }: { code: number }) => resolve(code));
        stream.on('data', () => resolve(status.OK));
      });
    expect(await open(greedy)).toBe(status.OK);
    expect(await open(greedy)).toBe(status.OK);
    expect(await open(greedy)).toBe(status.RESOURCE_EXHAUSTED);
    expect(await open(server.client(EventServiceClient))).toBe(status.OK);
  });
});
