import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';

/** The process behind a QMP socket, as far as it can be told from here. */
export interface ProcessIdentity {
  /** Same for the same process, different for any other: it is the boot id of what this source reports. */
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
    ...(seen === null ? [] : [seen.startTicks]),
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
): Promise<{ readonly commandLine: readonly string[]; readonly startTicks: string } | null> => {
  try {
    const [line, status] = await Promise.all([
      readFile(`/proc/${thread}/cmdline`, 'utf8'),
      readFile(`/proc/${thread}/stat`, 'utf8'),
    ]);
    const commandLine = line.split('\0').filter((part) => part !== '');
    // QEMU's options write a comma in a value twice.
    const name = socketName.replaceAll(',', ',,');
    if (!commandLine.some((part) => part.includes(name))) return null;
    return { commandLine, startTicks: startTicks(status) };
  } catch {
    return null;
  }
};

/** Field 22 of /proc/PID/stat (proc(5)); the second field, the name, may itself hold spaces and brackets. */
const startTicks = (status: string): string => {
  const afterName = status.slice(status.lastIndexOf(')') + 2).split(' ');
  return afterName[19] ?? '';
};
