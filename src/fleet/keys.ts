import { endedKey, metaKey, partitionOf, publishedKey, recordsKey } from '../bus/redis/keys.js';
import type { PartitionKeys } from './partition-store.js';

export { metaKey, partitionOf, publishedKey, recordsKey };

/** The keys of one group, beside the publisher's and in the same slots. */
export interface GroupKeys {
  readonly partitions: number;
  readonly partition: (index: number) => PartitionKeys;
  /** Sorted set: the tokens of the group's consumers by when they count as gone, milliseconds. */
  readonly members: string;
}

export const groupKeys = (fleet: string, partitions: number, group: string): GroupKeys => ({
  partitions,
  partition: (index) => {
    const prefix = `vmwarden:{${fleet}/${index}}`;
    return {
      records: recordsKey(fleet, index),
      published: publishedKey(fleet, index),
      ended: endedKey(fleet, index),
      lease: `${prefix}:lease:${group}`,
      marks: `${prefix}:acked:${group}`,
      parked: parkedKey(fleet, index),
    };
  },
  members: `vmwarden:{${fleet}}:members:${group}`,
});

/** Stream: entries that a group set aside, with `parkedgroup`, `parkedreason` and `parkedentry` before their own fields. */
export const parkedKey = (fleet: string, index: number): string =>
  `vmwarden:{${fleet}/${index}}:parked`;
