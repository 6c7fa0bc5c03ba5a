import { metaKey } from '../bus/redis/keys.js';
import { Fault } from '../lib/fault.js';
import type { FleetConnection } from './connection.js';
import { textOf } from './replies.js';

/** How many partitions the fleet has; null: nobody has published yet. */
export const readPartitions = async (
  { call }: Pick<FleetConnection, 'call'>,
  fleet: string,
): Promise<number | null> => {
  const text = textOf(await call('HGET', [metaKey(fleet), 'partitions']));
  if (text === null) return null;
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new Fault(
    'FAILED_PRECONDITION',
    'FLEET_BAD_META',
    `The number of partitions of fleet ${fleet} is ${text}; expected 1 to 99999.`,
  );
};
