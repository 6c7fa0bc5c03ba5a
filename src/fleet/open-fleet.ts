import { EventType } from '../gen/vmwarden/v1/system_event.js';
import { recordJson } from '../record/json.js';
import { badInput } from './bad-input.js';
import { createFleet } from './create-fleet.js';
import type { Fleet } from './fleet.js';
import { type RedisOptions, redisTarget } from './redis-target.js';

/** The package's export `vmwarden/fleet`. */

export type FleetOptions = RedisOptions & {
  /** The fleet's name, as the hosts' configuration says it. Default `default`. */
  readonly fleet?: string;
};

/** Connects when something is asked for, not before. Throws FLEET_BAD_INPUT. */
export const openFleet = ({ fleet = 'default', ...options }: FleetOptions = {}): Fleet => {
  if (!NAME.test(fleet)) {
    const expected = '1 to 64 characters of a-z A-Z 0-9 . _ -';
    throw badInput([{ field: 'fleet', value: JSON.stringify(fleet).slice(0, 200), expected }]);
  }
  return createFleet(fleet, redisTarget(options));
};

/** As the configuration has it: the name stands in keys. */
const NAME = /^[a-zA-Z0-9._-]{1,64}$/;

export type { Record } from '../gen/vmwarden/v1/record.js';
export type {
  AuditedGap,
  ConsumeOptions,
  Delivery,
  Filter,
  Fleet,
  FleetItem,
  FollowedItem,
  FollowOptions,
  From,
  Gap,
  GroupStatus,
  HostAudit,
  HostStatus,
  JournalSpan,
  Missing,
  Parked,
  Range,
  RecordIdentity,
  RecordKind,
  Unreadable,
} from './fleet.js';
export type { RedisOptions } from './redis-target.js';

/** Words that controllers need to read records, and a way to print one. */
export { EventType, recordJson };
