import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import {
  EventServiceClient,
  WatchRecordsRequest,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { type ListVmsResponse, VmServiceClient } from '../../src/gen/vmwarden/v1/vm_service.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';

const list = (client: VmServiceClient) =>
  outcomeOf<ListVmsResponse>((callback) =>
    client.listVms({ pageSize: 0, pageToken: '' }, callback),
  );

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
