import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import {
  EventServiceClient,
  EventServiceService,
  ListRecordsRequest,
  ReportEventRequest,
  type ReportEventResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import {
  ActOnVmRequest,
  type ActOnVmResponse,
  type ListVmsResponse,
  VmServiceClient,
} from '../../src/gen/vmwarden/v1/vm_service.js';
import { engineBench } from '../support/engine-bench.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

/** A real engine, so that what is taken is taken for good. */
const serve = async () => {
  const made = await engineBench();
  engines.push(made.engine);
  await made.until('contact', () => made.engine.vm('web-1').contact === 'connected');
  const server = await startTestServer({
    engine: made.engine,
    journal: made.journal,
    callerLimits: { callsPerSecond: 1e6, callsAtOnce: 1e6 },
  });
  return { made, server };
};

/** What a request that is wrong may end with. */
const PRECISE: readonly number[] = [
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.FAILED_PRECONDITION,
  status.OUT_OF_RANGE,
  status.RESOURCE_EXHAUSTED,
  status.UNAVAILABLE,
];

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom('', 'web-1', 'a'.repeat(253), 'a'.repeat(254), '\ud800', '../x', '\u001b[2J'),
);
const word = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 2n ** 63n));

describe('every field at and beyond its limits', () => {
  test('of a report: taken, or refused with a precise status and its reason', async () => {
    const { server, made } = await serve();
    const client = server.client(EventServiceClient);
    const request = fc.record({
      vmId: fc.oneof(
        { weight: 2, arbitrary: fc.constant('web-1') },
        { weight: 1, arbitrary: text },
      ),
      vmUid: text,
      requestId: text,
      bootId: text,
      initiator: fc.integer({ min: -5, max: 9 }),
      occurredAt: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
      sourceSequence: fc.option(fc.record({ source: text, instance: text, sequence: word }), {
        nil: undefined,
      }),
      raw: fc.record({
        arch: text,
        abi: text,
        capability: fc.integer({ min: -1, max: 5 }),
        capabilityNumber: fc.constantFrom(0, 214, 215, 2 ** 32 - 1),
        form: fc.oneof(
          fc.record({
            $case: fc.constant('fields' as const),
            value: fc.record({
              type: fc.constantFrom(0, 1, 3, 7, 8, 2 ** 31, 2 ** 32 - 1),
              ndata: fc.constantFrom(undefined, 0, 1, 16, 17, 2 ** 32 - 1),
              data: fc.array(word, { maxLength: 20 }),
              flags: fc.option(word, { nil: undefined }),
            }),
          }),
          fc.record({
            $case: fc.constant('bytes' as const),
            value: fc.record({
              record: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
              byteOrder: fc.integer({ min: -1, max: 4 }),
            }),
          }),
        ),
      }),
    });
    await fc.assert(
      fc.asyncProperty(request, async (fields) => {
        const before = made.journal.status().newest;
        const { error } = await outcomeOf<ReportEventResponse>((callback) =>
          client.reportEvent({ ...ReportEventRequest.create(), ...fields }, callback),
        );
        if (error === null) return;
        expect(PRECISE).toContain(error.code);
        expect(detailsOf(error).info?.reason).toMatch(/^[A-Z_]+$/);
        if (error.code === status.INVALID_ARGUMENT) {
          expect(detailsOf(error).violations.length).toBeGreaterThan(0);
          expect(before).toBeLessThanOrEqual(made.journal.status().newest);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('of an act and of a list', async () => {
    const { server } = await serve();
    const vms = server.client(VmServiceClient);
    const events = server.client(EventServiceClient);
    const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          vmId: text,
          verb: fc.oneof(text, fc.constantFrom('restart', 'dump', 'hold')),
          actor: text,
          reason: text,
          requestId: text,
          timeoutMs: word,
        }),
        fc.record({ pageSize: int32, pageToken: text, orderBy: text, incidentId: text }),
        async (act, list) => {
          const acted = await outcomeOf<ActOnVmResponse>((callback) =>
            vms.actOnVm(ActOnVmRequest.fromPartial(act), callback),
          );
          if (acted.error !== null) expect(PRECISE).toContain(acted.error.code);
          const listed = await outcomeOf((callback) =>
            events.listRecords({ ...ListRecordsRequest.create(), ...list }, callback),
          );
          if (listed.error !== null) expect(listed.error.code).toBe(status.INVALID_ARGUMENT);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('bytes below gRPC', () => {
  test('any gRPC frame in a stream of batches ends it or is answered, and others go on', async () => {
    const { server } = await serve();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), async (garbage) => {
        const session = connectHttp2('http://localhost', {
          createConnection: () => connect(server.socket),
        });
        session.on('error', () => undefined);
        const stream = session.request({
          ':method': 'POST',
          ':path': EventServiceService.reportEvents.path,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        stream.on('error', () => undefined);
        stream.resume();
        stream.end(Buffer.from(garbage));
        await new Promise<void>((resolve) => stream.once('close', resolve));
        session.destroy();
      }),
      { numRuns: 60 },
    );
    const { error } = await outcomeOf<ListVmsResponse>((callback) =>
      server.client(VmServiceClient).listVms({ pageSize: 0, pageToken: '' }, callback),
    );
    expect(error).toBeNull();
  });

  test('any HTTP/2 frames behind a good preface harm nobody but their own connection', async () => {
    const { server } = await serve();
    const others = server.client(VmServiceClient);
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const frame = fc
      .tuple(fc.nat(12), fc.nat(255), fc.nat(3), fc.uint8Array({ maxLength: 60 }))
      .map(([type, flags, id, payload]) =>
        Buffer.concat([
          Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, id]),
          Buffer.from(payload),
        ]),
      );
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 5 }), async (frames) => {
        const socket = connect(server.socket);
        socket.on('error', () => undefined);
        socket.resume();
        socket.write(Buffer.concat([preface, settings, ...frames]));
        const { error } = await outcomeOf<ListVmsResponse>((callback) =>
          others.listVms({ pageSize: 0, pageToken: '' }, callback),
        );
        expect(error).toBeNull();
        socket.destroy();
      }),
      { numRuns: 60 },
    );
  });
});
