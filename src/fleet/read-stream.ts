import type { FleetConnection } from './connection.js';
import type { RawEntry } from './partition-store.js';
import { rawEntries } from './partition-store.js';

/** At most `count` entries behind `after`, oldest first; `0-0` is before the first. */
export const readStream = async (
  { call }: Pick<FleetConnection, 'call'>,
  key: string,
  after: string,
  count: number,
): Promise<RawEntry[]> => rawEntries(await call('XRANGE', [key, `(${after}`, '+', 'COUNT', count]));

/** The newest entries, newest first. */
export const readNewest = async (
  { call }: Pick<FleetConnection, 'call'>,
  key: string,
  count: number,
): Promise<RawEntry[]> => rawEntries(await call('XREVRANGE', [key, '+', '-', 'COUNT', count]));

/** The newest entry's id; `0-0`: there is none. */
export const newestId = async (connection: FleetConnection, key: string): Promise<string> =>
  (await readNewest(connection, key, 1))[0]?.id ?? '0-0';

/** Negative: `a` is before `b`. Ids are `<milliseconds>-<number>`. */
export const compareIds = (a: string, b: string): number => {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number);
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number);
  return aMs - bMs || aNumber - bNumber;
};

/** When Redis took an entry in. */
export const timeOf = (id: string): Date => new Date(Number(id.split('-')[0]));
