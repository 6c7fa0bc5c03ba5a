import { type ServiceError, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  EventServiceClient,
  type GetRecordResponse,
  ListRecordsRequest,
  type ListRecordsResponse,
} from '../../src/gen/vmwarden/v1/event_service.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';
import { EventType } from '../../src/gen/vmwarden/v1/system_event.js';
import type { Journal } from '../../src/journal/journal.js';
import { detailsOf, outcomeOf, startTestServer, type TestServer } from '../support/grpc-server.js';

interface Made {
  readonly vm: string;
  readonly type: EventType | null;
  readonly incident?: string;
}

const bytesOf = ({ vm, type, incident = '' }: Made): Uint8Array =>
  Record.encode(
    Record.fromPartial({
      vmId: vm,
      incidentId: incident,
      body:
        type === null
          ? { $case: 'step', value: { verb: 'restart' } }
          : { $case: 'event', value: { event: { type } } },
    }),
  ).finish();

const append = async (journal: Journal, records: readonly Made[]): Promise<void> => {
  await journal.append({
    kind: 'ingest',
    records: records.map((made) => ({ vm: made.vm, bytes: bytesOf(made) })),
    rows: [],
  }).durable;
};

const list = (server: TestServer, request: Partial<ListRecordsRequest>) =>
  outcomeOf<ListRecordsResponse>((callback) =>
    server
      .client(EventServiceClient)
      .listRecords({ ...ListRecordsRequest.create(), ...request }, callback),
  );

const all = async (server: TestServer, request: Partial<ListRecordsRequest>): Promise<number[]> => {
  const client = server.client(EventServiceClient);
  const sequences: number[] = [];
  let pageToken = '';
  do {
    const { error, response } = await outcomeOf<ListRecordsResponse>((callback) =>
      client.listRecords({ ...ListRecordsRequest.create(), ...request, pageToken }, callback),
    );
    if (error !== null) throw error;
    expect(response.records.length).toBeLessThanOrEqual(request.pageSize || 100);
    sequences.push(...response.records.map(({ sequence }) => Number(sequence)));
    pageToken = response.nextPageToken;
  } while (pageToken !== '');
  return sequences;
};

const reasonOf = (error: ServiceError | null) => detailsOf(error).info?.reason;

const LABELS = new Map([
  ['a', { tier: 'prod', zone: '1' }],
  ['b', { tier: 'prod' }],
  ['c', {}],
]);

const made = fc.record({
  vm: fc.constantFrom('', 'a', 'b', 'c'),
  type: fc.constantFrom(null, EventType.CRASH, EventType.RESET),
  incident: fc.constantFrom('', 'i-1', 'i-2'),
});

describe('ListRecords', () => {
  test('pages hold exactly what the filters leave, in either order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(made, { minLength: 1, maxLength: 700 }),
        fc.constantFrom(1, 7, 100),
        fc.record({
          vmIds: fc.constantFrom<string[][]>([], ['a'], ['a', 'b'], ['nobody']),
          kinds: fc.constantFrom<string[][]>([], ['event'], ['step', 'loss']),
          eventTypes: fc.constantFrom<EventType[][]>([], [EventType.CRASH]),
          labels: fc.constantFrom<Array<{ [key: string]: string }>>({}, { tier: 'prod' }),
          incidentId: fc.constantFrom('', 'i-2'),
        }),
        fc.boolean(),
        async (records, pageSize, filter, descending) => {
          const server = await startTestServer({ labels: LABELS });
          await append(server.journal, records);
          const labelled = Object.keys(filter.labels).length === 0 ? null : ['a', 'b'];
          const expected = records.flatMap(({ vm, type, incident }, index) =>
            (filter.vmIds.length === 0 || filter.vmIds.includes(vm)) &&
            (labelled === null || labelled.includes(vm)) &&
            (filter.kinds.length === 0 ||
              filter.kinds.includes(type === null ? 'step' : 'event')) &&
            (filter.eventTypes.length === 0 || type === EventType.CRASH) &&
            (filter.incidentId === '' || filter.incidentId === incident)
              ? [index + 1]
              : [],
          );
          const found = await all(server, {
            ...filter,
            pageSize,
            orderBy: descending ? 'sequence desc' : '',
          });
          expect(found).toEqual(descending ? expected.toReversed() : expected);
          await server.running.stop(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('of an empty journal is one empty page', async () => {
    const server = await startTestServer();
    for (const orderBy of ['', 'sequence desc']) {
      const { error, response } = await list(server, { orderBy });
      expect(error).toBeNull();
      expect(response).toEqual({ journalId: server.journal.id, records: [], nextPageToken: '' });
    }
  });

  test.each<[string, Partial<ListRecordsRequest>, string]>([
    ['pageSize', { pageSize: -1 }, 'page_size'],
    ['pageSize', { pageSize: 1001 }, 'page_size'],
    ['orderBy', { orderBy: 'time' }, 'order_by'],
    ['pageToken', { pageToken: 'nonsense' }, 'page_token'],
    ['kinds', { kinds: ['everything'] }, 'kinds[0]'],
    ['eventTypes', { eventTypes: [99 as EventType] }, 'event_types[0]'],
    ['vmIds', { vmIds: Array.from({ length: 257 }, (_, n) => `v${n}`) }, 'vm_ids'],
    [
      'labels',
      { labels: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, ''])) },
      'labels',
    ],
  ])('a wrong %s is named', async (_what, request, field) => {
    const server = await startTestServer();
    const { error } = await list(server, request);
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    expect(detailsOf(error).violations).toMatchObject([{ field }]);
  });

  test('a token goes with the filters that it was given for', async () => {
    const server = await startTestServer();
    await append(server.journal, [
      { vm: 'a', type: null },
      { vm: 'a', type: null },
    ]);
    const { response } = await list(server, { pageSize: 1 });
    const { error } = await list(server, {
      pageToken: response.nextPageToken,
      kinds: ['step'],
    });
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    const other = await startTestServer();
    const elsewhere = await list(other, { pageSize: 1, pageToken: response.nextPageToken });
    expect(reasonOf(elsewhere.error)).toBe('OTHER_JOURNAL');
  });

  test('forward from what retention dropped is OUT_OF_RANGE with the oldest', async () => {
    const server = await startTestServer();
    await append(
      server.journal,
      Array.from({ length: 5 }, () => ({ vm: 'a', type: null })),
    );
    const { response } = await list(server, { pageSize: 1 });
    await server.journal.trim(3);
    const { error } = await list(server, { pageSize: 1, pageToken: response.nextPageToken });
    expect(error?.code).toBe(status.OUT_OF_RANGE);
    expect(detailsOf(error).info).toMatchObject({
      reason: 'JOURNAL_TRIMMED',
      metadata: { oldest: '4' },
    });
    expect(await all(server, {})).toEqual([4, 5]);
    expect(await all(server, { orderBy: 'sequence desc' })).toEqual([5, 4]);
  });
});

describe('GetRecord', () => {
  const get = (server: TestServer, sequence: bigint, journalId = '') =>
    outcomeOf<GetRecordResponse>((callback) =>
      server.client(EventServiceClient).getRecord({ sequence, journalId }, callback),
    );

  test('gives one record, and says what is wrong with any other', async () => {
    const server = await startTestServer();
    await append(
      server.journal,
      ['a', 'b', 'c'].map((vm) => ({ vm, type: null })),
    );
    await server.journal.trim(1);
    const { response } = await get(server, 2n, server.journal.id);
    expect(response).toMatchObject({
      journalId: server.journal.id,
      record: { sequence: 2n, record: { vmId: 'b' } },
    });
    const wrong = [
      [await get(server, 0n), status.INVALID_ARGUMENT, 'INVALID_FIELDS'],
      [await get(server, 1n), status.OUT_OF_RANGE, 'JOURNAL_TRIMMED'],
      [await get(server, 4n), status.NOT_FOUND, 'RECORD_UNKNOWN'],
      [await get(server, 2n ** 64n - 1n), status.NOT_FOUND, 'RECORD_UNKNOWN'],
      [await get(server, 2n, 'other'), status.FAILED_PRECONDITION, 'OTHER_JOURNAL'],
    ] as const;
    for (const [{ error }, code, reason] of wrong) {
      expect(error?.code).toBe(code);
      expect(reasonOf(error)).toBe(reason);
    }
  });
});
