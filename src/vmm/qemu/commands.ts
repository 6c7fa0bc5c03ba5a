import type { ReleaseConfig } from '../../config/config.js';
import { refusedFault, unexpectedFault } from './errors.js';
import { count, isObject, type JsonObject, text } from './json.js';
import type { Command, Reply } from './messages.js';

export const NEGOTIATE: Command = { name: 'qmp_capabilities' };
export const QUERY_STATUS: Command = { name: 'query-status' };
export const QUERY_MIGRATE: Command = { name: 'query-migrate' };
export const QUERY_DUMP: Command = { name: 'query-dump' };
export const QUERY_CPUS: Command = { name: 'query-cpus-fast' };
export const QUERY_DUMP_FORMATS: Command = { name: 'query-dump-guest-memory-capability' };
export const RESET: Command = { name: 'system_reset' };
export const CONT: Command = { name: 'cont' };
export const STOP: Command = { name: 'stop' };
export const QUIT: Command = { name: 'quit' };
export const POWERDOWN: Command = { name: 'system_powerdown' };
export const NMI: Command = { name: 'inject-nmi' };
export const WAKEUP: Command = { name: 'system_wakeup' };

/** What QEMU does by itself; members left out stay as they are. */
export const setAction = (actions: Partial<ReleaseConfig>): Command => ({
  name: 'set-action',
  arguments: JSON.stringify(actions),
});

export const ALLOW_RESET = setAction({ reboot: 'reset' });

export const dumpMemory = (path: string, format: string): Command => ({
  name: 'dump-guest-memory',
  arguments: JSON.stringify({ paging: false, protocol: `file:${path}`, format, detach: true }),
});

/** The answer's object. Throws a Fault when QEMU refused the command, or answered it in no known form. */
const objectOf = (reply: Reply | undefined, command: Command): JsonObject => {
  if (reply === undefined) throw unexpectedFault(command.name);
  if (!reply.ok) throw refusedFault(command.name, reply.error);
  if (!isObject(reply.value)) throw unexpectedFault(command.name);
  return reply.value;
};

/** QEMU's RunState word. */
export const parseStatus = (reply: Reply | undefined): string => {
  const status = text(objectOf(reply, QUERY_STATUS), 'status');
  if (status === '') throw unexpectedFault(QUERY_STATUS.name);
  return status;
};

export interface Migration {
  /** QEMU's MigrationStatus word; `none` when there has been no migration. */
  readonly status: string;
  /** It reports of memory sent: this QEMU is, or was, the source. */
  readonly source: boolean;
}

export const parseMigration = (reply: Reply | undefined): Migration => {
  const info = objectOf(reply, QUERY_MIGRATE);
  return { status: text(info, 'status') || 'none', source: isObject(info['ram']) };
};

export interface DumpStatus {
  readonly status: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export const toDumpStatus = (info: JsonObject): DumpStatus => ({
  status: text(info, 'status'),
  doneBytes: count(info, 'completed') ?? 0,
  totalBytes: count(info, 'total') ?? 0,
});

export const parseDump = (reply: Reply | undefined): DumpStatus =>
  toDumpStatus(objectOf(reply, QUERY_DUMP));

/** Formats that this build can write; empty when it doesn't say. */
export const parseDumpFormats = (reply: Reply | undefined): readonly string[] => {
  if (reply === undefined || !reply.ok || !isObject(reply.value)) return [];
  const { formats } = reply.value;
  return Array.isArray(formats) ? formats.filter((item) => typeof item === 'string') : [];
};

/** Host thread id of vCPU 0 as QEMU's own PID namespace has it. */
export const parseCpuThread = (reply: Reply | undefined): number => {
  if (reply === undefined) throw unexpectedFault(QUERY_CPUS.name);
  if (!reply.ok) throw refusedFault(QUERY_CPUS.name, reply.error);
  const cpus = Array.isArray(reply.value) ? reply.value.filter(isObject) : [];
  const first = cpus.find((cpu) => cpu['cpu-index'] === 0) ?? cpus[0];
  const thread = first === undefined ? null : count(first, 'thread-id');
  if (thread === null) throw unexpectedFault(QUERY_CPUS.name);
  return thread;
};
