import { readFile, readlink, stat } from 'node:fs/promises';
import path from 'node:path';

/** The process behind a QMP socket, as far as it can be told from here. */
export interface ProcessIdentity {
  /**
   * Same for the same process, different for any other: it is the boot id of what this source reports. Inode, birth
   * time (ns) and thread in base 36; where /proc shows the thread, its start (clock ticks, decimal) and
   * the PID namespace in which it has this number (inode, base 36), too; joined by dots.
   */
  readonly id: string;
  /** Its command line; null when it can't be seen (another PID namespace, no right to). */
  readonly commandLine: readonly string[] | null;
}

/**
 * QMP has no name for its process. A listening socket is made anew by each QEMU, so its inode and birth
 * time tell two of them apart; vCPU 0's thread, and when it started, where /proc shows it, make up for file
 * systems that reuse inodes or keep no birth time.
 */
export const identifyProcess = async (
  socket: string,
  cpuThread: number,
): Promise<ProcessIdentity> => {
  const [file, seen] = await Promise.all([
    stat(socket, { bigint: true }),
    lookUp(cpuThread, path.basename(socket)),
  ]);
  const parts = [
    file.ino.toString(36),
    file.birthtimeNs.toString(36),
    cpuThread.toString(36),
    ...(seen === null ? [] : [seen.startTicks, seen.namespace]),
  ];
  return { id: parts.join('.'), commandLine: seen?.commandLine ?? null };
};

/**
 * In another PID namespace the thread's number may belong to a stranger, so it counts only when its
 * command line names the socket.
 */
const lookUp = async (
  thread: number,
  socketName: string,
): Promise<{
  readonly commandLine: readonly string[];
  readonly startTicks: string;
  readonly namespace: string;
} | null> => {
  try {
    const [line, status, namespace] = await Promise.all([
      readFile(`/proc/${thread}/cmdline`, 'utf8'),
      readFile(`/proc/${thread}/stat`, 'utf8'),
      ownNamespace(),
    ]);
    const commandLine = line.split('\0').filter((part) => part !== '');
    // QEMU's options write a comma in a value twice.
    const name = socketName.replaceAll(',', ',,');
    if (!commandLine.some((part) => part.includes(name))) return null;
    return { commandLine, startTicks: parseStat(status).startTicks, namespace };
  } catch {
    return null;
  }
};

/** Whether a process lives; `unknown` where /proc can't tell. */
export type Life = 'lives' | 'gone' | 'unknown';

/** Looks whether the process of this boot id (`ProcessIdentity.id`, maybe of an earlier life) is still there. */
export const lifeOf = async (bootId: string): Promise<Life> => {
  const [, , thread36, ticks, namespace] = bootId.split('.');
  if (thread36 === undefined || ticks === undefined || namespace === undefined) return 'unknown';
  const thread = Number.parseInt(thread36, 36);
  try {
    // Elsewhere the number may be free while the process lives, or belong to a stranger.
    if (namespace !== (await ownNamespace())) return 'unknown';
    const { state, startTicks } = parseStat(await readFile(`/proc/${thread}/stat`, 'utf8'));
    return startTicks === ticks && !DEAD.has(state) ? 'lives' : 'gone';
  } catch (error) {
    return isNoProcess(error) && (await seesOthers()) ? 'gone' : 'unknown';
  }
};

const DEAD: ReadonlySet<string> = new Set(['Z', 'X', 'x']);

const isNoProcess = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');

/** /proc mounted with hidepid (proc(5)) shows processes of others as if there were none. */
const seesOthers = (): Promise<boolean> =>
  readFile('/proc/1/stat').then(
    () => true,
    () => false,
  );

/** Inode of this process's PID namespace, from a link like `pid:[4026531836]` (namespaces(7)). */
const ownNamespace = async (): Promise<string> => {
  const digits = /\d+/.exec(await readlink('/proc/self/ns/pid'))?.[0] ?? '0';
  return Number(digits).toString(36);
};

/** Fields 3 and 22 of /proc/PID/stat (proc(5)); the second field, the name, may itself hold spaces and brackets. */
const parseStat = (stat: string): { readonly state: string; readonly startTicks: string } => {
  const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: afterName[0] ?? '', startTicks: afterName[19] ?? '' };
};
