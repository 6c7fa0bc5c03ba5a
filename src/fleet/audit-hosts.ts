import { recordsKey } from '../bus/redis/keys.js';
import type { Record } from '../gen/vmwarden/v1/record.js';
import type { FleetConnection } from './connection.js';
import { parseEntry } from './entry.js';
import type { HostAudit } from './fleet.js';
import type { Range } from './host-progress.js';
import { readPartitions } from './partitions.js';
import { readPublished } from './published.js';
import { compareIds, newestId, readStream } from './read-stream.js';
import { StreamAudit } from './stream-audit.js';

const PAGE = 500;

/** Reads every stream up to what is its newest entry now. Throws the signal's reason when it aborts. */
export const auditHosts = async (
  connection: FleetConnection,
  fleet: string,
  signal?: AbortSignal,
): Promise<HostAudit[]> => {
  const partitions = (await readPartitions(connection, fleet)) ?? 0;
  const found: HostAudit[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    const key = recordsKey(fleet, partition);
    // Read first: what comes after is in the stream too, and would look like more than was told.
    const published = await readPublished(connection, fleet, partition);
    const end = await newestId(connection, key);
    const audit = new StreamAudit();
    for (let after = '0-0'; compareIds(after, end) < 0; ) {
      signal?.throwIfAborted();
      const page = await readStream(connection, key, after, PAGE);
      for (const { fields } of page) auditEntry(audit, fields);
      after = page.at(-1)?.id ?? end;
    }
    found.push(...audit.findings(published));
  }
  return found.sort((a, b) => (a.host < b.host ? -1 : 1));
};

/** `fields`: of the stream's next entry. */
export const auditEntry = (audit: StreamAudit, fields: readonly Buffer[]): void => {
  const entry = parseEntry(fields);
  if (!entry.ok) audit.seeUnreadable(entry.identity?.host ?? '');
  if (entry.identity !== null) audit.see(entry.identity, entry.ok ? lossOf(entry.record) : null);
};

const lossOf = ({ body }: Record): (Range & { readonly reason: string }) | null => {
  if (body?.$case !== 'loss') return null;
  const { firstSequence, lastSequence, reason } = body.value;
  return { first: Number(firstSequence), last: Number(lastSequence), reason };
};
