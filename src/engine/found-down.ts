import type { EventType } from '../event/event-type.js';
import type { Initiator } from '../event/report.js';
import { vmmEvent } from '../event/vmm-event.js';
import type { GuestState, Inspection } from '../vmm/driver.js';
import type { Arrival } from './admit.js';
import type { VmRow } from './vm-row.js';

/** What a guest that is found in such a state must have done; as a driver tells it that finds one on connect. */
const DOWN: Partial<Record<GuestState, { type: EventType; initiator: Initiator }>> = {
  panicked: { type: 'CRASH', initiator: 'guest' },
  watchdog: { type: 'WATCHDOG', initiator: 'guest' },
  error: { type: 'VMM_ERROR', initiator: 'unknown' },
  shutdown: { type: 'SHUTDOWN', initiator: 'unknown' },
};

/** The event of a guest that waits in this state; null: it does not wait for anything. */
export const arrivalOfDown = (row: VmRow, inspection: Inspection, life: string): Arrival | null => {
  const { state, raw, bootId, boots } = inspection;
  const down = DOWN[state];
  if (down === undefined) return null;
  return {
    report: {
      vm: row.id,
      uid: '',
      event: vmmEvent(down.type, { reason: raw, action: 'pause' }),
      origin: row.answered?.origin ?? 'qmp',
      initiator: down.initiator,
      bootId,
      key: null,
      occurredAtMs: null,
      reconciled: true,
    },
    driver: { boots, life, bootId, state, earlier: false, mayRepeat: false },
  };
};

/** Makes the driver's next contact tell what it finds, as if nobody had seen it before. */
export const unseen = (row: VmRow): VmRow =>
  row.seen === null || DOWN[row.seen.state] === undefined
    ? row
    : { ...row, seen: { ...row.seen, state: 'unknown' } };
