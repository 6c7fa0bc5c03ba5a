import type { Redis } from 'ioredis';
import {
  aliveKey,
  DATA_CONTENT_TYPE,
  ENTRY_TYPE,
  idOf,
  metaKey,
  partitionOf,
  publishedKey,
  recordsKey,
  SPEC_VERSION,
  sourceOf,
} from '../../src/bus/redis/keys.js';
import { Record } from '../../src/gen/vmwarden/v1/record.js';

export const FLEET = 'test';
export const PARTITIONS = 8;
export const JOURNAL = '00112233445566778899aabbccddeeff';

/** Puts entries where a relay would, and any others where a test needs them. */
export interface TestPublisher {
  readonly open: () => Promise<void>;
  /** Records `first` to `last` of a host; each says its sequence in `vmId`, unless told otherwise. */
  readonly publish: (
    host: string,
    first: number,
    last: number,
    options?: { readonly journalId?: string; readonly vmId?: string },
  ) => Promise<string[]>;
  /** A marker in the place of records that were lost. */
  readonly lose: (host: string, first: number, last: number, reason: string) => Promise<void>;
  /** The host says that it is alive, or has gone on purpose. */
  readonly beat: (host: string, atMs: number, state: 'alive' | 'closed') => Promise<void>;
  /** Any entry in the host's stream. */
  readonly add: (host: string, fields: readonly (string | Buffer)[]) => Promise<string>;
}

export const createPublisher = (client: () => Redis): TestPublisher => ({
  open: async () => {
    await client().hset(metaKey(FLEET), 'partitions', PARTITIONS);
  },
  publish: async (host, first, last, { journalId = JOURNAL, vmId } = {}) => {
    const partition = partitionOf(host, PARTITIONS);
    const pipeline = client().pipeline();
    for (let sequence = first; sequence <= last; sequence += 1) {
      const data = encodeRecord(vmId ?? String(sequence));
      pipeline.xadd(
        recordsKey(FLEET, partition),
        '*',
        ...entryFields(host, journalId, sequence, data),
      );
    }
    pipeline.hset(publishedKey(FLEET, partition), host, `${journalId}:${last}`);
    const answers = (await pipeline.exec()) ?? [];
    return answers.slice(0, -1).map(([error, id]) => {
      if (error !== null) throw error;
      return String(id);
    });
  },
  lose: async (host, first, last, reason) => {
    const partition = partitionOf(host, PARTITIONS);
    const loss = { firstSequence: BigInt(first), lastSequence: BigInt(last), reason };
    const data = encode({ $case: 'loss', value: loss }, '');
    await client().xadd(
      recordsKey(FLEET, partition),
      '*',
      ...entryFields(host, JOURNAL, last, data),
    );
    await client().hset(publishedKey(FLEET, partition), host, `${JOURNAL}:${last}`);
  },
  beat: async (host, atMs, state) => {
    const key = aliveKey(FLEET, partitionOf(host, PARTITIONS));
    await client().hset(key, host, `${atMs}:${state}:${JOURNAL}:01`);
  },
  add: async (host, fields) =>
    String(await client().xadd(recordsKey(FLEET, partitionOf(host, PARTITIONS)), '*', ...fields)),
});

export const encodeRecord = (vmId: string): Buffer =>
  encode(
    {
      $case: 'operator',
      value: {
        actor: 'a test',
        reason: 'to be read',
        verb: 'hold',
        requestId: '',
        detail: '',
        budget: '',
      },
    },
    vmId,
  );

const encode = (body: NonNullable<Record['body']>, vmId: string): Buffer =>
  Buffer.from(
    Record.encode({
      recordedAt: new Date(1_790_000_000_000),
      vmId,
      incidentId: '',
      monotonicUs: 1n,
      body,
    }).finish(),
  );

export const entryFields = (
  host: string,
  journalId: string,
  sequence: number,
  data: Buffer,
): (string | Buffer)[] => [
  'specversion',
  SPEC_VERSION,
  'id',
  idOf(journalId, sequence),
  'source',
  sourceOf(host),
  'type',
  ENTRY_TYPE,
  'datacontenttype',
  DATA_CONTENT_TYPE,
  'data',
  data,
];
