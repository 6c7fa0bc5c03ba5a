import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Filter } from './fleet.js';

/** Whether a record is one that the filter leaves. */
export type Matches = (host: string, record: Record) => boolean;

export const matches = ({ hosts = [], vms = [], kinds = [] }: Filter = {}): Matches => {
  const [ofHosts, ofVms, ofKinds] = [new Set(hosts), new Set(vms), new Set<string>(kinds)];
  return (host, record) =>
    (ofHosts.size === 0 || ofHosts.has(host)) &&
    (ofVms.size === 0 || ofVms.has(record.vmId)) &&
    (ofKinds.size === 0 || (record.body !== undefined && ofKinds.has(record.body.$case)));
};
