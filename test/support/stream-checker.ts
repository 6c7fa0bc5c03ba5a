import type { Redis } from 'ioredis';

/**
 * Reads streams as any program would, by XRANGE and the documented fields, and knows nothing of how they are
 * written.
 */
export interface StreamEntry {
  readonly host: string;
  readonly journalId: string;
  readonly sequence: number;
  readonly data: Buffer;
}

const PAGE = 2_000;

/** All entries of one fleet, each partition in its order. */
export const readStreams = async (client: Redis, fleet: string): Promise<StreamEntry[]> => {
  const entries: StreamEntry[] = [];
  for (const key of (await client.keys(`vmwarden:{${fleet}/*}:records`)).sort()) {
    for (let from = '-'; ; ) {
      const page = await client.xrangeBuffer(key, from, '+', 'COUNT', PAGE);
      for (const [, fields] of page) entries.push(entryOf(fields));
      const last = page.at(-1)?.[0];
      if (last === undefined || page.length < PAGE) break;
      from = `(${last.toString()}`;
    }
  }
  return entries;
};

const entryOf = (fields: readonly Buffer[]): StreamEntry => {
  const at = (name: string): Buffer => {
    const index = fields.findIndex(
      (field, place) => place % 2 === 0 && field.equals(Buffer.from(name)),
    );
    const value = fields[index + 1];
    if (index < 0 || value === undefined) throw new Error(`an entry without ${name}`);
    return value;
  };
  const [, journalId = '', sequence = ''] = /^(\w+):(\d+)$/.exec(at('id').toString()) ?? [];
  return {
    host: decodeURIComponent(at('source').toString().replace('/vmwarden/', '')),
    journalId,
    sequence: Number(sequence),
    data: at('data'),
  };
};

export interface Expectation {
  readonly host: string;
  readonly journalId: string;
  /** What is in the journal: sequence to bytes. */
  readonly records: ReadonlyMap<number, Uint8Array>;
  /** What a marker in the stream covers; null: the entry is none. */
  readonly coveredBy?: (
    data: Uint8Array,
  ) => { readonly first: number; readonly last: number } | null;
}

/**
 * What is wrong with the entries of one host's journal, in sentences: a record that is missing, twice, out of order,
 * or other than in the journal, and records that no marker names. What the journal has dropped by now has only to be in order.
 */
export const checkHost = (entries: readonly StreamEntry[], expected: Expectation): string[] => {
  const { host, journalId, records, coveredBy } = expected;
  const problems: string[] = [];
  const seen = new Set<number>();
  let before = 0;
  for (const entry of entries) {
    if (entry.host !== host || entry.journalId !== journalId) continue;
    const { sequence, data } = entry;
    const bytes = records.get(sequence);
    if (seen.has(sequence)) problems.push(`record ${sequence} is there twice`);
    else if (sequence < before) problems.push(`record ${sequence} comes behind ${before}`);
    if (bytes !== undefined && !data.equals(bytes)) problems.push(`record ${sequence} is another`);
    const covered = coveredBy?.(data) ?? { first: sequence, last: sequence };
    if (sequence > before && (covered.first > before + 1 || covered.last !== sequence)) {
      problems.push(`nothing says what became of ${before + 1} to ${sequence - 1}`);
    }
    seen.add(sequence);
    before = Math.max(before, sequence);
  }
  for (const sequence of records.keys()) {
    if (!seen.has(sequence)) problems.push(`record ${sequence} is missing`);
  }
  return problems.slice(0, 20);
};
