import { once } from 'node:events';
import { type ClientReadableStream, status } from '@grpc/grpc-js';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  EventServiceClient,
  EventServiceService,
  WatchRecordsRequest,
  WatchRecordsResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';
import { EventType } from '../../src/gen/vmwarden/v1/system_event.js';
import type { Journal, ReadQuery } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { detailsOf, startTestServer, type TestServer } from '../support/grpc-server.js';
import { messagesOf, openStream } from '../support/http2-stream.js';
import { waitFor } from '../support/wait-for.js';

type Body = NonNullable<Record['body']>['$case'];

const bytesOf = (vmId: string, kind: Body, padding = ''): Uint8Array =>
  Record.encode(
    Record.fromPartial({
      recordedAt: new Date(1000),
      vmId,
      incidentId: padding,
      body: { $case: kind, value: {} } as never,
    }),
  ).finish();

const append = async (journal: Journal, ...records: readonly [string, Body][]): Promise<void> => {
  await journal.append({
    kind: 'ingest',
    records: records.map(([vm, kind]) => ({ vm, bytes: bytesOf(vm, kind) })),
    rows: [],
  }).durable;
};

interface Watcher {
  readonly messages: WatchRecordsResponse[];
  readonly ended: Promise<{ readonly code: status; readonly error: unknown }>;
  readonly stream: ClientReadableStream<WatchRecordsResponse>;
}

const watch = (server: TestServer, request: Partial<WatchRecordsRequest>): Watcher => {
  const messages: WatchRecordsResponse[] = [];
  const stream = server
    .client(EventServiceClient)
    .watchRecords({ ...WatchRecordsRequest.create(), ...request });
  let failure: unknown = null;
  stream.on('data', (message: WatchRecordsResponse) => messages.push(message));
  stream.on('error', (error) => {
    failure = error;
  });
  const ended = new Promise<{ code: status; error: unknown }>((resolve) => {
    stream.on('status', ({ code }) => setImmediate(() => resolve({ code, error: failure })));
  });
  return { messages, ended, stream };
};

const sequences = (watcher: Watcher): bigint[] =>
  watcher.messages.flatMap(({ records }) => records.map(({ sequence }) => sequence));

describe('WatchRecords', () => {
  test('sends what is there and ends at the newest when asked to', async () => {
    const server = await startTestServer();
    await append(server.journal, ['a', 'event'], ['a', 'decision'], ['b', 'event']);
    const watcher = watch(server, { untilNewest: true });
    expect(await watcher.ended).toMatchObject({ code: status.OK });
    expect(sequences(watcher)).toEqual([1n, 2n, 3n]);
    expect(watcher.messages.at(-1)).toMatchObject({
      journalId: server.journal.id,
      scannedSequence: 3n,
    });
    expect(watcher.messages[0]?.records[1]?.record).toMatchObject({
      vmId: 'a',
      recordedAt: new Date(1000),
      body: { $case: 'decision' },
    });
  });

  test('of an empty journal it says that there is nothing, and ends', async () => {
    const server = await startTestServer();
    const watcher = watch(server, { untilNewest: true });
    expect(await watcher.ended).toMatchObject({ code: status.OK });
    expect(watcher.messages).toEqual([
      { journalId: server.journal.id, records: [], scannedSequence: 0n },
    ]);
  });

  test.each([
    { newest: 2, expected: [2n, 3n] },
    { newest: 9, expected: [1n, 2n, 3n] },
  ])('begins $newest records before the newest', async ({ newest, expected }) => {
    const server = await startTestServer();
    await append(server.journal, ['a', 'event'], ['a', 'event'], ['a', 'event']);
    const watcher = watch(server, { newest, untilNewest: true });
    await watcher.ended;
    expect(sequences(watcher)).toEqual(expected);
    const { code } = await watch(server, { newest, afterSequence: 1n }).ended;
    expect(code).toBe(status.INVALID_ARGUMENT);
  });

  test('resumes behind a sequence, and goes on with what comes', async () => {
    const server = await startTestServer();
    await append(server.journal, ['a', 'event'], ['a', 'decision']);
    const watcher = watch(server, { afterSequence: 1n, journalId: server.journal.id });
    await waitFor('the record that is there', () => sequences(watcher).length === 1);
    await append(server.journal, ['a', 'step']);
    await waitFor('the record that came', () => sequences(watcher).length === 2);
    expect(sequences(watcher)).toEqual([2n, 3n]);
  });

  test.each([
    { filter: { vmIds: ['a'] }, expected: [1n, 2n, 5n] },
    { filter: { vmIds: ['a', 'b'] }, expected: [1n, 2n, 3n, 5n] },
    { filter: { kinds: ['event'] }, expected: [1n, 3n, 4n] },
    { filter: { vmIds: ['a'], kinds: ['step', 'decision'] }, expected: [2n, 5n] },
    { filter: { vmIds: ['nobody'] }, expected: [] },
  ])('keeps to its filter $filter, and says how far it looked', async ({ filter, expected }) => {
    const server = await startTestServer();
    await append(
      server.journal,
      ['a', 'event'],
      ['a', 'decision'],
      ['b', 'event'],
      ['c', 'event'],
      ['a', 'step'],
    );
    const watcher = watch(server, { untilNewest: true, ...filter });
    expect(await watcher.ended).toMatchObject({ code: status.OK });
    expect(sequences(watcher)).toEqual(expected);
    expect(watcher.messages.at(-1)?.scannedSequence).toBe(5n);
  });

  test('refuses a kind that does not exist, by its place and with those that do', async () => {
    const server = await startTestServer();
    const { code, error } = await watch(server, { kinds: ['event', 'evnt'] }).ended;
    expect(code).toBe(status.INVALID_ARGUMENT);
    expect(detailsOf(error as never).violations).toMatchObject([{ field: 'kinds[1]' }]);
  });

  test('a reader behind the oldest record learns where that is', async () => {
    const server = await startTestServer();
    await append(server.journal, ['a', 'event'], ['a', 'event'], ['a', 'event']);
    await server.journal.trim(2);
    const { code, error } = await watch(server, { afterSequence: 1n }).ended;
    expect(code).toBe(status.OUT_OF_RANGE);
    expect(detailsOf(error as never).info).toMatchObject({
      reason: 'JOURNAL_TRIMMED',
      metadata: { oldest: '3' },
    });
    const fromOldest = watch(server, { untilNewest: true });
    await fromOldest.ended;
    expect(sequences(fromOldest)).toEqual([3n]);
  });

  test('a sequence ahead of the newest, or of another journal, is refused', async () => {
    const server = await startTestServer();
    const ahead = await watch(server, { afterSequence: 9n }).ended;
    expect(ahead.code).toBe(status.OUT_OF_RANGE);
    expect(detailsOf(ahead.error as never).info?.reason).toBe('SEQUENCE_AHEAD');
    const other = await watch(server, { journalId: 'ff' }).ended;
    expect(other.code).toBe(status.FAILED_PRECONDITION);
    expect(detailsOf(other.error as never).info?.reason).toBe('OTHER_JOURNAL');
  });

  test('sends heartbeats while nothing comes, with how far the stream is', async () => {
    const server = await startTestServer({ heartbeatMs: 5 });
    await append(server.journal, ['a', 'event']);
    const watcher = watch(server, { vmIds: ['b'] });
    await waitFor('two heartbeats', () => watcher.messages.length >= 2);
    expect(watcher.messages[1]).toMatchObject({ records: [], scannedSequence: 1n });
  });

  test('a slow watcher holds about one batch, and loses nothing', async () => {
    const journal = new MemoryJournal();
    const reads: ReadQuery[] = [];
    let handedOut = 0;
    const counting = new Proxy(journal, {
      get: (target, name) => {
        if (name !== 'read') {
          const value = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return async (query: ReadQuery) => {
          reads.push(query);
          const batch = await target.read(query);
          handedOut += batch.records.reduce((sum, { bytes }) => sum + bytes.length, 0);
          return batch;
        };
      },
    });
    const count = 4096;
    const padding = 'x'.repeat(8 * 1024);
    await journal.append({
      kind: 'ingest',
      records: Array.from({ length: count }, () => ({
        vm: 'a',
        bytes: bytesOf('a', 'event', padding),
      })),
      rows: [],
    }).durable;
    const server = await startTestServer({ journal: counting });
    const other = await startTestServer();

    const { stream, close } = openStream(
      server.socket,
      EventServiceService.watchRecords.path,
      WatchRecordsRequest.encode(WatchRecordsRequest.fromPartial({ untilNewest: true })).finish(),
    );
    onTestFinished(close);
    stream.pause();
    await waitFor('the first read', () => reads.length > 0);
    // The server is quiet when 20 round trips to another one in this process pass without a read.
    for (let quiet = 0, seen = 0; quiet < 20; ) {
      await watch(other, { untilNewest: true }).ended;
      quiet = reads.length === seen ? quiet + 1 : 0;
      seen = reads.length;
    }
    // Of 32 MiB: what the socket took, and one batch that waits.
    expect(handedOut).toBeLessThan(2 * 1024 * 1024);

    const body: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => body.push(chunk));
    stream.resume();
    await once(stream, 'end');
    const sent = messagesOf(Buffer.concat(body)).flatMap(
      (message) => WatchRecordsResponse.decode(message).records,
    );
    expect(sent.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: count }, (_, at) => BigInt(at + 1)),
    );
  });

  test('a watcher that goes away is forgotten', async () => {
    const server = await startTestServer({ limits: { maxStreams: 1 } });
    const first = watch(server, {});
    await append(server.journal, ['a', 'event']);
    await waitFor('the stream is open', () => first.messages.length === 1);
    const second = await watch(server, {}).ended;
    expect(second.code).toBe(status.RESOURCE_EXHAUSTED);
    first.stream.cancel();
    await first.ended;
    await waitFor('its place is free', async () => {
      const { code } = await watch(server, { untilNewest: true }).ended;
      return code === status.OK;
    });
  });
});

describe('the further filters of WatchRecords', () => {
  const event = (vmId: string, type: EventType): Uint8Array =>
    Record.encode(
      Record.fromPartial({ vmId, body: { $case: 'event', value: { event: { type } } } }),
    ).finish();

  test.each<[string, Partial<WatchRecordsRequest>, bigint[]]>([
    ['event types', { eventTypes: [EventType.CRASH] }, [1n, 3n]],
    ['labels', { labels: { tier: 'prod' } }, [1n, 2n, 4n]],
    ['labels and VMs', { labels: { tier: 'prod' }, vmIds: ['b'] }, []],
    ['labels that nobody has', { labels: { tier: 'scratch' } }, []],
    ['labels and types', { labels: { tier: 'prod' }, eventTypes: [EventType.CRASH] }, [1n]],
  ])('%s', async (_what, filter, expected) => {
    const labels = new Map([['a', { tier: 'prod' }]]);
    const server = await startTestServer({ labels });
    await server.journal.append({
      kind: 'ingest',
      records: [
        { vm: 'a', bytes: event('a', EventType.CRASH) },
        { vm: 'a', bytes: event('a', EventType.RESET) },
        { vm: 'b', bytes: event('b', EventType.CRASH) },
        { vm: 'a', bytes: bytesOf('a', 'decision') },
      ],
      rows: [],
    }).durable;
    const watcher = watch(server, { ...filter, untilNewest: true });
    expect((await watcher.ended).code).toBe(status.OK);
    expect(sequences(watcher)).toEqual(expected);
    expect(watcher.messages.at(-1)?.scannedSequence).toBe(4n);
  });
});
