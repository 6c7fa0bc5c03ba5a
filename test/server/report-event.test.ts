import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import {
  EventServiceClient,
  ReportEventRequest,
  type ReportEventResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { Disposition } from '../../src/gen/vmwarden/v1/record.js';
import {
  Capability,
  EventType,
  Initiator,
  type RawEvent,
} from '../../src/gen/vmwarden/v1/system_event.js';
import { Fault } from '../../src/lib/fault.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';

const crash: RawEvent = {
  arch: 'x86_64',
  abi: '',
  capability: Capability.PRESENT,
  capabilityNumber: 215,
  form: { $case: 'fields', value: { type: 3, ndata: 0, data: [], flags: undefined } },
};

const request = (changes: Partial<ReportEventRequest> = {}): ReportEventRequest => ({
  ...ReportEventRequest.create(),
  vmId: 'web-1',
  raw: crash,
  ...changes,
});

const report = async (
  server: Awaited<ReturnType<typeof startTestServer>>,
  message: ReportEventRequest,
) => {
  const client = server.client(EventServiceClient);
  return outcomeOf<ReportEventResponse>((callback) => client.reportEvent(message, callback));
};

describe('ReportEvent', () => {
  test('answers when the engine has made the normalized event durable', async () => {
    const server = await startTestServer();
    const { error, response } = await report(
      server,
      request({
        vmUid: 'u-1',
        requestId: 'r-1',
        bootId: 'b-1',
        occurredAt: new Date(1_700_000_000_000),
        initiator: Initiator.GUEST,
      }),
    );
    expect(error).toBeNull();
    expect(response).toMatchObject({
      journalId: server.journal.id,
      sequence: 1n,
      disposition: Disposition.DECIDED,
      repeat: false,
      event: { type: EventType.CRASH, rawType: 3, data: [] },
    });
    expect(server.journal.status().newest).toBe(1);
    expect(server.engine.reports).toMatchObject([
      {
        vm: 'web-1',
        uid: 'u-1',
        origin: 'kernel',
        initiator: 'guest',
        bootId: 'b-1',
        key: { kind: 'request', requestId: 'r-1' },
        occurredAtMs: 1_700_000_000_000,
        reconciled: false,
      },
    ]);
  });

  test('what is not said stays unsaid', async () => {
    const server = await startTestServer();
    expect((await report(server, request())).error).toBeNull();
    expect(server.engine.reports).toMatchObject([
      { uid: '', initiator: 'unknown', bootId: null, key: null, occurredAtMs: null },
    ]);
  });

  test('a sequence of a source is a key', async () => {
    const server = await startTestServer();
    const sourceSequence = { source: 'vmm', instance: 'pid-1', sequence: 2n ** 64n - 1n };
    expect((await report(server, request({ sourceSequence }))).error).toBeNull();
    expect(server.engine.reports[0]?.key).toEqual({ kind: 'sequence', ...sourceSequence });
  });

  test('names every field that is wrong, what stood there and what was expected', async () => {
    const server = await startTestServer();
    const { error } = await report(
      server,
      request({
        vmId: '../etc',
        vmUid: 'x'.repeat(129),
        bootId: 'a\u001b[2J',
        requestId: 'r',
        sourceSequence: { source: '', instance: 'i', sequence: 1n },
        occurredAt: new Date(-1),
        initiator: Initiator.VMWARDEN,
        raw: undefined,
      }),
    );
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    expect(error?.details).toContain('vm_id');
    const { info, violations } = detailsOf(error);
    expect(info).toEqual({ reason: 'INVALID_FIELDS', domain: 'vmwarden.dev', metadata: {} });
    expect(violations.map(({ field }) => field).sort()).toEqual([
      'boot_id',
      'initiator',
      'occurred_at',
      'raw',
      'request_id',
      'source_sequence.source',
      'vm_id',
      'vm_uid',
    ]);
    expect(violations.find(({ field }) => field === 'vm_id')?.description).toBe(
      'got "../etc", expected 1 to 253 characters of a-z A-Z 0-9 . _ -',
    );
    expect(violations.every(({ reason }) => reason === 'INVALID_FIELDS')).toBe(true);
    expect(server.engine.reports).toEqual([]);
  });

  test('an event that can not be understood is refused with the code of the problem', async () => {
    const server = await startTestServer();
    const { error } = await report(
      server,
      request({
        raw: {
          ...crash,
          form: { $case: 'bytes', value: { record: Buffer.of(3, 0), byteOrder: 1 } },
        },
      }),
    );
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    const { info, violations } = detailsOf(error);
    expect(info?.reason).toBe('TRUNCATED');
    expect(violations).toMatchObject([{ field: 'raw.bytes.record', reason: 'TRUNCATED' }]);
    expect(server.engine.reports).toEqual([]);
  });

  test('every violation has the spelling of the proto file', async () => {
    const server = await startTestServer();
    const field = async (message: ReportEventRequest) =>
      detailsOf((await report(server, message)).error).violations[0]?.field;
    const bytes = { $case: 'bytes' as const, value: { record: Buffer.alloc(16), byteOrder: 0 } };
    const words = { type: 6, ndata: undefined, data: [0x100n], flags: undefined };
    const noCount = { $case: 'fields' as const, value: words };
    expect(await field(request({ raw: { ...crash, form: bytes } }))).toBe('raw.bytes.byte_order');
    expect(await field(request({ raw: { ...crash, form: noCount } }))).toBe('raw.fields.ndata');
    expect(await field(request({ raw: { ...crash, capabilityNumber: 214 } }))).toBe(
      'raw.capability_number',
    );
    expect(server.engine.reports).toEqual([]);
  });

  test('a fault of the engine keeps its reason, its metadata and when to try again', async () => {
    const server = await startTestServer();
    server.engine.answerWith(async () => {
      throw new Fault('RESOURCE_EXHAUSTED', 'JOURNAL_FULL', 'Less than 64 MiB are free', {
        retryAfterMs: 1500,
        metadata: { free: '123' },
      });
    });
    const { error } = await report(server, request());
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(error?.details).toBe('Less than 64 MiB are free');
    const { info, retry, status: wire } = detailsOf(error);
    expect(info).toMatchObject({ reason: 'JOURNAL_FULL', metadata: { free: '123' } });
    expect(retry?.retryDelay).toEqual({ seconds: 1n, nanos: 500_000_000 });
    expect(wire).toMatchObject({ code: status.RESOURCE_EXHAUSTED, message: error?.details });
  });

  test('a defect is told apart from a fault and tells nothing of its inside', async () => {
    const server = await startTestServer();
    server.engine.answerWith(async () => {
      throw new TypeError('secret.path is not a function');
    });
    const { error } = await report(server, request());
    expect(error?.code).toBe(status.INTERNAL);
    expect(error?.details).not.toContain('secret');
    expect(detailsOf(error).info?.reason).toBe('INTERNAL_ERROR');
  });

  test('text that HTTP/2 can not carry does not break the answer', async () => {
    const server = await startTestServer();
    server.engine.answerWith(async () => {
      throw new Fault('ABORTED', 'ODD', `half a pair: \ud800, and long: ${'x'.repeat(70_000)}`);
    });
    const { error } = await report(server, request());
    expect(error?.code).toBe(status.ABORTED);
    expect(error?.details).toContain('half a pair: \ufffd');
    expect(error?.details.length).toBeLessThanOrEqual(1024);
  });

  test('an engine that does not answer ends in DEADLINE_EXCEEDED', async () => {
    const server = await startTestServer({ limits: { callTimeoutMs: 20 } });
    server.engine.answerWith(() => new Promise(() => undefined));
    const { error } = await report(server, request());
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(detailsOf(error).info?.reason).toBe('CALL_TIMEOUT');
  });

  test('calls beyond the limit are turned away at once', async () => {
    const server = await startTestServer({ limits: { maxCalls: 1 } });
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const entered = new Promise<void>((resolve) => {
      server.engine.answerWith(async ({ event }) => {
        resolve();
        await gate;
        return { sequence: 1, event, disposition: 'decided', repeat: false };
      });
    });
    const first = report(server, request());
    await entered;
    const { error } = await report(server, request());
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect(detailsOf(error).retry).not.toBeNull();
    open();
    expect((await first).error).toBeNull();
  });

  test('a message over the limit ends its call and nothing else', async () => {
    const server = await startTestServer();
    const { error } = await report(server, request({ vmUid: 'x'.repeat(100_000) }));
    expect(error?.code).toBe(status.RESOURCE_EXHAUSTED);
    expect((await report(server, request())).error).toBeNull();
  });
});
