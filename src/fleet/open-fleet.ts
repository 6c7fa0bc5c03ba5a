import { EventType } from '../gen/vmwarden/v1/system_event.js';
import { recordJson } from '../record/json.js';
import { createFleet } from './create-fleet.js';
import type { Fleet } from './fleet.js';
import { type RedisOptions, redisTarget } from './redis-target.js';

/** The package's export `vmwarden/fleet`. */

export type FleetOptions = RedisOptions & {
  /** The fleet's name, as the hosts' configuration says it. Default `default`. */
  readonly fleet?: string;
};

/** Connects when something is asked for, not before. Throws FLEET_BAD_INPUT. */
export const openFleet = ({ fleet = 'default', ...options }: FleetOptions): Fleet =>
  createFleet(fleet, redisTarget(options));

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
