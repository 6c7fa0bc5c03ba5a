import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { HealthCheckRequest, HealthClient } from '../../src/gen/grpc/health/v1/health.js';
import {
  EventServiceClient,
  ReportEventRequest,
  type ReportEventResponse,
  WatchRecordsRequest,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';

const crash = (): ReportEventRequest =>
  ReportEventRequest.fromPartial({
    vmId: 'web-1',
    raw: {
      arch: 'x86_64',
      capability: 1,
      form: { $case: 'fields', value: { type: 3, ndata: 0 } },
    },
  });

describe('stop', () => {
  test('tells open streams why, removes the socket, and can be asked for twice', async () => {
    const server = await startTestServer();
    const watching = server
      .client(EventServiceClient)
      .watchRecords(WatchRecordsRequest.fromPartial({ vmIds: [] }));
    const health = server.client(HealthClient).watch(HealthCheckRequest.create());
    const errors = [watching, health].map(
      (stream) => new Promise((resolve) => stream.on('error', resolve)),
    );
    watching.resume();
    await once(health, 'data');
    await Promise.all([server.running.stop(5000), server.running.stop(5000)]);
    for (const error of await Promise.all(errors)) {
      expect(error).toMatchObject({ code: status.UNAVAILABLE, details: 'vmwarden is stopping' });
    }
    await expect(stat(server.socket)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('lets a report that is under way end', async () => {
    const server = await startTestServer();
    let durable: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => {
      server.engine.answerWith(
        ({ event }) =>
          new Promise((answer) => {
            durable = () => answer({ sequence: 7, event, disposition: 'decided', repeat: false });
            resolve();
          }),
      );
    });
    const client = server.client(EventServiceClient);
    const reported = outcomeOf<ReportEventResponse>((callback) =>
      client.reportEvent(crash(), callback),
    );
    await entered;
    const stopped = server.running.stop(10_000);
    durable();
    expect(await reported).toMatchObject({ error: null, response: { sequence: 7n } });
    await stopped;
  });

  test('cuts off a report that does not end, and a connection that says nothing', async () => {
    const server = await startTestServer();
    const entered = new Promise<void>((resolve) => {
      server.engine.answerWith(() => {
        resolve();
        return new Promise(() => undefined);
      });
    });
    const client = server.client(EventServiceClient);
    const reported = outcomeOf<ReportEventResponse>((callback) =>
      client.reportEvent(crash(), callback),
    );
    const silent = connect(server.socket);
    await once(silent, 'connect');
    await entered;
    await server.running.stop(20);
    expect((await reported).error?.code).toBe(status.UNAVAILABLE);
    silent.resume();
    if (!silent.closed) await once(silent, 'close');
  });

  test('cuts off a watcher that reads nothing', async () => {
    const server = await startTestServer();
    await server.journal.append({
      kind: 'ingest',
      records: Array.from({ length: 64 }, () => ({ vm: '', bytes: new Uint8Array(0) })).concat(
        Array.from({ length: 64 }, () => ({ vm: 'a', bytes: Buffer.alloc(64 * 1024, '\x1a\x00') })),
      ),
      rows: [],
    }).durable;
    const stream = server
      .client(EventServiceClient)
      .watchRecords(WatchRecordsRequest.fromPartial({ vmIds: [] }));
    const failed = new Promise((resolve) => stream.on('error', resolve));
    stream.once('data', () => stream.pause());
    await once(stream, 'data');
    await server.running.stop(20);
    stream.resume();
    expect(await failed).toMatchObject({ code: expect.any(Number) });
  });

  test('a report after the stop is refused', async () => {
    const server = await startTestServer();
    const client = server.client(EventServiceClient);
    await server.running.stop(1000);
    const { error } = await outcomeOf<ReportEventResponse>((callback) =>
      client.reportEvent(crash(), callback),
    );
    expect(error?.code).toBe(status.UNAVAILABLE);
    expect(detailsOf(error).info).toBeNull();
  });
});
