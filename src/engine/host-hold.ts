import type { Journal } from '../journal/journal.js';
import { Fault } from '../lib/fault.js';
import type { Hold } from './operators.js';

/** Row of the host's hold; none: it is not held. */
export const HOST_HOLD_ROW = 'host/hold';

/** Is there from the host's release on until each guest was looked at. */
export const HOST_RELEASED_ROW = 'host/released';

export const encodeHostHold = (hold: Hold): Uint8Array =>
  Buffer.from(JSON.stringify({ format: 1, ...hold }));

/** Faults: ROW_UNREADABLE: better not to start than to act on a host that somebody holds. */
export const readHostHold = (journal: Pick<Journal, 'lookup'>): Hold | null => {
  const bytes = journal.lookup(HOST_HOLD_ROW);
  if (bytes === undefined) return null;
  try {
    const { format, atMs, actor, reason } = JSON.parse(Buffer.from(bytes).toString());
    if (format === 1) return { atMs, actor, reason };
  } catch {
    // Told below.
  }
  throw new Fault(
    'FAILED_PRECONDITION',
    'ROW_UNREADABLE',
    `row ${HOST_HOLD_ROW} of the journal can't be read`,
  );
};
