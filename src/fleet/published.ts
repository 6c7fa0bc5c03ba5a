import { publishedKey } from '../bus/redis/keys.js';
import type { FleetConnection } from './connection.js';
import { hashOf } from './replies.js';

export interface Published {
  readonly journalId: string;
  readonly sequence: number;
}

/** What each host of a partition has published, by host. */
export const readPublished = async (
  { call }: FleetConnection,
  fleet: string,
  partition: number,
): Promise<Map<string, Published>> => {
  const found = new Map<string, Published>();
  for (const [host, value] of hashOf(await call('HGETALL', [publishedKey(fleet, partition)]))) {
    const match = /^([^:]+):(\d{1,16})$/.exec(value);
    if (match?.[1] !== undefined) {
      found.set(host, { journalId: match[1], sequence: Number(match[2]) });
    }
  }
  return found;
};
