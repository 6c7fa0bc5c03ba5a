import { Fault } from '../../lib/fault.js';
import type { Connection } from './connection.js';

/** XTRIM by age came with it. */
const OLDEST_VERSION = [6, 2] as const;

/**
 * Refuses a server that would lose records though all looks well, or that can't do what is needed. A user that may
 * not ask (ACL) can't be answered: that is a warning. Faults: BUS_EVICTS, BUS_MISUSED.
 */
export const checkServer = async (connection: Connection, key: string): Promise<string[]> => {
  const info = await infoOf(connection, key);
  if (info === null) {
    return [
      `${connection.where}: the user may not run INFO, so nobody can see whether Redis evicts records`,
    ];
  }
  const [major = 0, minor = 0] = (info.get('redis_version') ?? '').split('.').map(Number);
  if (major < OLDEST_VERSION[0] || (major === OLDEST_VERSION[0] && minor < OLDEST_VERSION[1])) {
    const text = `${connection.where} is Redis ${major}.${minor}; expected ${OLDEST_VERSION.join('.')} or newer`;
    throw new Fault('FAILED_PRECONDITION', 'BUS_MISUSED', text);
  }
  const policy = info.get('maxmemory_policy') ?? '';
  if (policy.startsWith('allkeys-')) {
    const text = `${connection.where} has maxmemory-policy ${policy}, which evicts records unnoticed; expected noeviction`;
    throw new Fault('FAILED_PRECONDITION', 'BUS_EVICTS', text);
  }
  return [];
};

const infoOf = async (
  connection: Connection,
  key: string,
): Promise<ReadonlyMap<string, string> | null> => {
  try {
    const text = String(await connection.callAt(key, 'INFO', []));
    return new Map(
      text.split('\r\n').flatMap((line) => {
        const [, name, value] = /^(\w+):(.*)$/.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value] as const];
      }),
    );
  } catch (error) {
    if (error instanceof Error && error.message.includes('NOPERM')) return null;
    throw error;
  }
};
