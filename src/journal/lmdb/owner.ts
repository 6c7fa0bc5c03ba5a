import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { Fault } from '../../lib/fault.js';
import { openSocketPlace } from '../../lib/socket-path.js';
import type { Owner } from './format.js';

/**
 * LMDB silently accepts a second writer, so the directory is claimed. Each would-be owner listens on a unix
 * socket of its own random name; who owns the directory is a row of the journal, exchanged inside a write
 * transaction, which LMDB lets one process at a time into. A name never comes back, so one whose
 * connection is refused is dead for good, and nothing is ever decided by deleting or renaming a file.
 */
export interface OwnerSocket {
  readonly name: string;
  close(): Promise<void>;
}

const PROBE_TIMEOUT_MS = 2_000;

export async function listenAsOwner(dir: string): Promise<OwnerSocket> {
  const name = `owner-${randomBytes(6).toString('hex')}.sock`;
  const place = openSocketPlace(dir, name);
  const server = createServer((connection) => connection.destroy());
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(place.path, resolve);
    });
  } catch (error) {
    place.release();
    throw error;
  }
  server.on('error', () => undefined);
  server.unref();
  return {
    name,
    close: async () => {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      place.release();
    },
  };
}

export async function isOwnerAlive(dir: string, { socket }: Owner): Promise<boolean> {
  const place = openSocketPlace(dir, socket);
  try {
    return await new Promise<boolean>((resolve) => {
      const connection = createConnection(place.path);
      // Full backlog or forbidden: somebody is there. Only these two say that nobody is.
      connection.on('error', (error: NodeJS.ErrnoException) =>
        resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
      );
      connection.on('connect', () => {
        connection.destroy();
        resolve(true);
      });
      connection.setTimeout(PROBE_TIMEOUT_MS, () => {
        connection.destroy();
        resolve(true);
      });
    });
  } finally {
    place.release();
  }
}

export function removeSocket(dir: string, name: string): void {
  try {
    unlinkSync(join(dir, name));
  } catch {
    // Its owner removed it, or it is in the way of nobody.
  }
}

export const inUse = (dir: string, { pid }: Owner): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    'JOURNAL_IN_USE',
    `The journal ${dir} is in use by process ${pid}.`,
    {
      metadata: { pid: String(pid) },
    },
  );
