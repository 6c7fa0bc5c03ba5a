import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../lib/fault.js';

/** What `lstat` or `stat` says, as far as it matters here. */
interface Found {
  readonly uid: number | bigint;
  readonly mode: number | bigint;
  isSymbolicLink(): boolean;
  isSocket(): boolean;
}

const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;

/** Who may own what is opened without the operator having named it: root, vmwarden itself, and those of the configuration. */
export const trustedOwners = (owners: readonly number[], ownUid: number): ReadonlySet<number> =>
  new Set([0, ownUid, ...owners]);

/** Why such a socket is not opened; null: it may be. */
export const socketProblem = (found: Found, owners: ReadonlySet<number>): string | null => {
  if (found.isSymbolicLink()) return 'is a symbolic link; expected the socket itself';
  if (!found.isSocket()) return 'is no socket';
  return ownerProblem(found, owners);
};

/** Why nothing in such a directory can be trusted; null: it can. */
export const directoryProblem = (found: Found, owners: ReadonlySet<number>): string | null => {
  if (found.isSymbolicLink()) return 'is a symbolic link; expected a directory';
  const mode = Number(found.mode);
  if ((mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0) {
    return 'is a directory in which everybody may replace files';
  }
  return ownerProblem(found, owners);
};

const ownerProblem = ({ uid }: Found, owners: ReadonlySet<number>): string | null =>
  owners.has(Number(uid))
    ? null
    : `belongs to user ${uid}; expected ${[...owners].sort((a, b) => a - b).join(', ')} (\`owners\` says who else)`;

/** Looks again right before a connect: a socket that was found good may have been replaced since. */
export const checkSocket = async (
  socket: string,
  owners: ReadonlySet<number>,
): Promise<Fault | null> => {
  try {
    const [file, directory] = await Promise.all([lstat(socket), stat(dirname(socket))]);
    const problem = socketProblem(file, owners);
    if (problem !== null) return untrusted(socket, problem);
    const around = directoryProblem(directory, owners);
    return around === null ? null : untrusted(dirname(socket), around);
  } catch {
    // What can't be looked at can't be connected to either, which says why.
    return null;
  }
};

const untrusted = (path: string, problem: string): Fault =>
  new Fault('FAILED_PRECONDITION', 'SOCKET_UNTRUSTED', `${path} ${problem}`);
