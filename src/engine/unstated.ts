import type { SystemEvent } from '../event/system-event.js';

/** Marks an event whose reporter did not say of which boot it is. */
export const markUnstated = (event: SystemEvent): SystemEvent => ({
  ...event,
  anomalies: [...event.anomalies, 'BOOT_UNSTATED'],
});
