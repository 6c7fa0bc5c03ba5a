import { publishedKey } from '../bus/redis/keys.js';
import type { RedisClient } from './redis-script.js';

export interface Published {
  readonly journalId: string;
  readonly sequence: number;
}

/** What each host of a partition has published, by host. */
export const readPublished = async (
  client: RedisClient,
  fleet: string,
  partition: number,
): Promise<Map<string, Published>> => {
  const found = new Map<string, Published>();
  const hash = await client.hgetall(publishedKey(fleet, partition));
  for (const [host, value] of Object.entries(hash)) {
    const match = /^([^:]+):(\d{1,16})$/.exec(value);
    if (match?.[1] !== undefined) {
      found.set(host, { journalId: match[1], sequence: Number(match[2]) });
    }
  }
  return found;
};
