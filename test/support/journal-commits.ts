import type { Commit, Journal, Sequence } from '../../src/journal/journal.js';

export const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const bytesText = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && new TextDecoder().decode(bytes);

/** A commit of records given as text, of one VM. */
export const commitOf = (
  texts: readonly string[],
  rest: Partial<Commit> & { vm?: string } = {},
): Commit => ({
  kind: rest.kind ?? 'ingest',
  records: texts.map((text) => ({ vm: rest.vm ?? '', bytes: textBytes(text) })),
  rows: rest.rows ?? [],
});

/** All records from `after` on, as text by sequence. */
export async function readAll(
  journal: Pick<Journal, 'read'>,
  after: Sequence,
  vm?: string,
): Promise<[Sequence, string][]> {
  const all: [Sequence, string][] = [];
  let from = after;
  for (;;) {
    const batch = await journal.read({ after: from, ...(vm !== undefined && { vm }) });
    for (const { sequence, bytes } of batch.records) all.push([sequence, bytesText(bytes) ?? '']);
    if (batch.scanned === from) return all;
    from = batch.scanned;
  }
}

/** Waits until `check` gives something, for at most 10 s. */
export async function eventually<T>(
  check: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const found = await check();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error('it did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
